// ldmatrix and mma.sync as functions of a whole warp, by the fragment layouts of the PTX manual
// (sections "ldmatrix" and "Matrix Fragments for mma.m16n8k16").
#include "cuda/device.h"

namespace bough::cuda {
namespace {

uint16_t half_of(uint32_t pair, int i) { return uint16_t(pair >> (16 * i)); }
float value_of(uint32_t pair, int i) { return to_float(bf16{half_of(pair, i)}); }

struct BallotLane {
  bool predicate;
  uint32_t result;
};
struct MultiplyLane {
  float* c;
  const uint32_t* a;
  uint32_t b[2];
};

void load_rows(void* const* lanes, bool transposed) {
  for (int matrix = 0; matrix < 4; ++matrix) {
    uint16_t elements[8][8];
    for (int row = 0; row < 8; ++row)
      std::memcpy(elements[row], static_cast<emulated::MatrixRow*>(lanes[8 * matrix + row])->row, 16);
    for (int l = 0; l < warp_size; ++l) {
      const int i = l / 4, j = 2 * (l % 4);
      const uint16_t first = transposed ? elements[j][i] : elements[i][j];
      const uint16_t second = transposed ? elements[j + 1][i] : elements[i][j + 1];
      static_cast<emulated::MatrixRow*>(lanes[l])->r[matrix] = uint32_t(first) | uint32_t(second) << 16;
    }
  }
}

}  // namespace

uint32_t ballot(bool predicate) {
  BallotLane mine{predicate, 0};
  emulator::warp_collective("ballot", &mine, [](void* const* lanes) {
    uint32_t mask = 0;
    for (int l = 0; l < warp_size; ++l) mask |= uint32_t(static_cast<BallotLane*>(lanes[l])->predicate) << l;
    for (int l = 0; l < warp_size; ++l) static_cast<BallotLane*>(lanes[l])->result = mask;
  });
  return mine.result;
}

void emulated::load_matrices(uint32_t (&r)[4], const void* row, bool transposed) {
  check_aligned(row, 16, "load_matrices");
  if (!emulator::is_shared(row, 16))
    emulator::fault("load_matrices: the address is not in the shared memory of the block");
  MatrixRow mine{row, r};
  if (transposed)
    emulator::warp_collective("load_matrices_transposed", &mine, [](void* const* lanes) { load_rows(lanes, true); });
  else
    emulator::warp_collective("load_matrices", &mine, [](void* const* lanes) { load_rows(lanes, false); });
}

void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  MultiplyLane mine{c, a, {b0, b1}};
  emulator::warp_collective("multiply_add", &mine, [](void* const* lanes) {
    float a[16][16], b[16][8];
    for (int l = 0; l < warp_size; ++l) {
      const auto& lane = *static_cast<MultiplyLane*>(lanes[l]);
      const int g = l / 4, t = 2 * (l % 4);
      for (int i = 0; i < 2; ++i) {
        a[g][t + i] = value_of(lane.a[0], i);
        a[g + 8][t + i] = value_of(lane.a[1], i);
        a[g][t + 8 + i] = value_of(lane.a[2], i);
        a[g + 8][t + 8 + i] = value_of(lane.a[3], i);
        b[t + i][g] = value_of(lane.b[0], i);
        b[t + 8 + i][g] = value_of(lane.b[1], i);
      }
    }
    for (int l = 0; l < warp_size; ++l) {
      float* c = static_cast<MultiplyLane*>(lanes[l])->c;
      for (int i = 0; i < 4; ++i) {
        const int row = l / 4 + 8 * (i / 2), column = 2 * (l % 4) + i % 2;
        float sum = 0;
        for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
        c[i] += sum;
      }
    }
  });
}

}  // namespace bough::cuda
