#pragma once
// The machine-dependent half of cuda/device.h on the host; same names, same meaning (described there).
#include <bit>
#include <cmath>
#include <memory>

#include "machine.h"

namespace bough::cuda {

inline void sync_block(const char* reason) { emulator::block_barrier(reason); }
inline void sync_warp(const char* reason) {
  emulator::warp_collective(reason, nullptr, [](void* const*) {});
}

namespace emulated {

template <class T>
struct Exchange {
  T value;
  int argument;
  T result;
};
/// result of lane l = value of lane `source(l, argument of l)`.
template <class T, class Source>
T exchange(const char* name, T value, int argument, Source) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  Exchange<T> mine{value, argument, value};
  emulator::warp_collective(name, &mine, [](void* const* lanes) {
    for (int l = 0; l < warp_size; ++l) {
      auto& lane = *static_cast<Exchange<T>*>(lanes[l]);
      lane.result = static_cast<Exchange<T>*>(lanes[Source()(l, lane.argument)])->value;
    }
  });
  return mine.result;
}

inline void check_aligned(const void* p, size_t alignment, const char* what) {
  if (reinterpret_cast<uintptr_t>(p) % alignment != 0)
    emulator::fault(std::string(what) + ": the address is not aligned to " + std::to_string(alignment) + " bytes");
}

struct MatrixRow {
  const void* row;
  uint32_t* r;
};
void load_matrices(uint32_t (&r)[4], const void* row, bool transposed);

}  // namespace emulated

template <class T>
T shuffle_xor(T value, int mask) {
  return emulated::exchange("shuffle_xor", value, mask, [](int l, int m) { return (l ^ m) & 31; });
}
template <class T>
T shuffle(T value, int source) {
  return emulated::exchange("shuffle", value, source, [](int, int s) { return s & 31; });
}
uint32_t ballot(bool predicate);

template <class T, int N>
class SharedArray {
 public:
  SharedArray() : memory_(new (std::align_val_t{16}) std::byte[bytes]) { emulator::add_shared(memory_, bytes); }
  T& operator[](int i) {
    if (i < 0 || i >= N)
      emulator::fault("shared memory: element " + std::to_string(i) + " of an array of " + std::to_string(N));
    return data()[i];
  }
  T* data() {
    if (block_ != emulator::block_number()) {
      block_ = emulator::block_number();
      std::memset(static_cast<void*>(memory_), 0xff, bytes);  // NaN for every float type
    }
    return reinterpret_cast<T*>(memory_);
  }

 private:
  static constexpr size_t bytes = sizeof(T) * N;
  std::byte* memory_;  // never freed: a shared array is static. On the heap, AddressSanitizer guards it
  uint64_t block_ = 0;
};

inline std::byte* dynamic_shared() { return emulator::dynamic_shared_memory(); }

inline void copy_async(void* shared, const void* source, bool is_inside = true) {
  emulated::check_aligned(shared, 16, "copy_async");
  if (is_inside) emulated::check_aligned(source, 16, "copy_async");
  emulator::copy_async_begin(shared, source, is_inside);
}
inline void commit_copies() { emulator::copy_async_commit(); }
template <int pending>
void wait_copies() {
  emulator::copy_async_wait(pending);
}

inline void load_matrices(uint32_t (&r)[4], const void* row) { emulated::load_matrices(r, row, false); }
inline void load_matrices_transposed(uint32_t (&r)[4], const void* row) { emulated::load_matrices(r, row, true); }
void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

inline bf16 to_bf16(float x) {
  uint32_t bits = math::bits_of(x);
  if (x != x) return {0x7fff};
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return {uint16_t(bits >> 16)};
}
inline uint32_t pack_bf16(float low, float high) {
  return uint32_t(to_bf16(low).bits) | uint32_t(to_bf16(high).bits) << 16;
}

inline float exp2(float x) { return std::exp2(x); }
inline float log2(float x) { return std::log2(x); }
inline float inverse_sqrt(float x) { return 1.0f / std::sqrt(x); }

inline int opaque(int x) { return x; }

template <int N, class T>
Vector<T, N> load_vector(const T* p) {
  emulated::check_aligned(p, alignof(Vector<T, N>), "load_vector");
  Vector<T, N> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <int N, class T>
void store_vector(T* p, const Vector<T, N>& v) {
  emulated::check_aligned(p, alignof(Vector<T, N>), "store_vector");
  std::memcpy(p, &v, sizeof v);
}

}  // namespace bough::cuda
