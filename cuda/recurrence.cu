// Simpler simple recurrent units, f32 and bf16; the equations are in core/cpu/recurrence.cc. A thread owns a column of
// a sentence and walks along its rows, so that every sum has one owner and a fixed order; the tail is cleared as one
// sentence more.
#include <algorithm>

#include "cuda/attention.h"
#include "cuda/column_sums.h"
#include "cuda/cuda_backend.h"

namespace bough::cuda {
namespace {

constexpr int threads = 128;  // columns of a block
// For all columns of some sentences. Of a batch that is filled up, Packing::sentences is the number of rows: most of
// them are empty, and would each leave a row of partial sums.
constexpr int64_t most_blocks = 1024;

/// The inputs of a unit, and what it computes of them.
template <class T>
struct Unit {
  const T *u, *bias;
  int64_t columns;
  Unit(In u, In bias) : u(u.data<T>()), bias(bias.data<T>()), columns(bias.size()) {}

  __device__ int64_t column() const { return int64_t(blockIdx.y) * threads + threadIdx.x; }
  __device__ float gate(int64_t row, int64_t column) const {
    return math::sigmoid(to_float(u[row * 2 * columns + column]) + to_float(bias[column]));
  }
  __device__ float candidate(int64_t row, int64_t column) const {
    return to_float(u[row * 2 * columns + columns + column]);
  }
  /// c of a row, from the c before it.
  __device__ float next(float before, int64_t row, int64_t column) const {
    const float x = candidate(row, column);
    return x + gate(row, column) * (before - x);
  }
  /// Of blocks that own columns of something each.
  LaunchShape shape(int64_t count) const { return {dim3(unsigned(count), blocks_for(columns, threads)), threads}; }
};

/// The sentences, and behind them the tail. A block takes every gridDim.x-th.
struct SentenceRows {
  const int32_t* offsets;
  int64_t tail, tokens;
  explicit SentenceRows(const Packing& rows)
      : offsets(rows.offsets.data<int32_t>()), tail(rows.sentences), tokens(rows.tokens) {}

  int64_t blocks() const { return std::min(tail + 1, most_blocks); }
  __device__ Range range(int64_t s) const { return {offsets[s], s == tail ? tokens : int64_t(offsets[s + 1])}; }
};

template <class T>
__global__ void ssru_kernel(T* y, float* c, Unit<T> a, SentenceRows sentences) {
  const int64_t column = a.column();
  if (column >= a.columns) return;
  for (int64_t s = blockIdx.x; s <= sentences.tail; s += gridDim.x) {
    const Range rows = sentences.range(s);
    float state = 0;
    for (int64_t t = rows.begin; t < rows.end; ++t) {
      if (s < sentences.tail) state = a.next(state, t, column);
      y[t * a.columns + column] = from_float<T>(state > 0 ? state : 0.0f);
      if (c != nullptr) c[t * a.columns + column] = state;
    }
  }
}

/// gate_sums: (gridDim.x, C).
template <class T>
__global__ void ssru_backward_kernel(Target du, float* gate_sums, const T* dy, const float* c, Unit<T> a,
                                     SentenceRows sentences) {
  const int64_t column = a.column();
  if (column >= a.columns) return;
  float sum = 0;
  for (int64_t s = blockIdx.x; s <= sentences.tail; s += gridDim.x) {
    const Range rows = sentences.range(s);
    float upstream = 0;
    for (int64_t t = rows.end - 1; t >= rows.begin; --t) {
      float of_gate = 0, of_candidate = 0;
      if (s < sentences.tail) {
        const int64_t i = t * a.columns + column;
        const float f = a.gate(t, column), before = t > rows.begin ? c[i - a.columns] : 0.0f;
        const float g = upstream + (c[i] > 0 ? to_float(dy[i]) : 0.0f);
        of_gate = g * (before - a.candidate(t, column)) * f * (1 - f);
        of_candidate = g * (1 - f);
        sum += of_gate;
        upstream = g * f;
      }
      if (!du) continue;
      deposit(du, t * 2 * a.columns + column, of_gate);
      deposit(du, t * 2 * a.columns + a.columns + column, of_candidate);
    }
  }
  gate_sums[int64_t(blockIdx.x) * a.columns + column] = sum;
}

template <class T>
__global__ void ssru_step_kernel(T* y, float* state, Unit<T> a, const int32_t* ancestry, int64_t ancestors,
                                 const int32_t* slots, const int32_t* steps) {
  const int64_t row = blockIdx.x, column = a.column();
  if (column >= a.columns) return;
  const int64_t t = steps[row];
  const auto place = [&](int64_t slot, int64_t step) { return (2 * slot + step % 2) * a.columns + column; };
  const float before = t == 0 ? 0.0f : state[place(ancestry[row * ancestors + t - 1], t - 1)];
  const float c = a.next(before, row, column);
  state[place(slots[row], t)] = c;
  y[row * a.columns + column] = from_float<T>(c > 0 ? c : 0.0f);
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::ssru_impl(Out y, Out c, In u, In bias, const Packing& rows) {
  dispatch_float(y.dtype(), [&]<class T>() {
    const Unit<T> a(u, bias);
    const SentenceRows sentences(rows);
    launch(stream(), "ssru", ssru_kernel<T>, a.shape(sentences.blocks()), y.data<T>(), c ? c.data<float>() : nullptr, a,
           sentences);
  });
}

void CudaBackend::ssru_backward_impl(const Grad& du, const Grad& dbias, In dy, In c, In u, In bias,
                                     const Packing& rows) {
  const SentenceRows sentences(rows);
  const int64_t parts = sentences.blocks();
  float* const gate_sums = scratch<float>(parts * bias.size());
  dispatch_float(dy.dtype(), [&]<class T>() {
    const Unit<T> a(u, bias);
    launch(stream(), "ssru_backward", ssru_backward_kernel<T>, a.shape(parts), target_of(du), gate_sums, dy.data<T>(),
           c.data<float>(), a, sentences);
  });
  if (dbias) finish_column_sums(stream(), gate_sums, parts, bias.size(), {{target_of(dbias)}});
}

void CudaBackend::ssru_step_impl(Out y, Out state, In u, In bias, In ancestry, In slots, In steps) {
  dispatch_float(y.dtype(), [&]<class T>() {
    const Unit<T> a(u, bias);
    launch(stream(), "ssru_step", ssru_step_kernel<T>, a.shape(y.rows()), y.data<T>(), state.data<float>(), a,
           ancestry.data<int32_t>(), ancestry.cols(), slots.data<int32_t>(), steps.data<int32_t>());
  });
}

}  // namespace bough
