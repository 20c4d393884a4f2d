#pragma once
// The vocabulary kernels are written in, and the only file that names intrinsics or PTX. Under g++
// (BOUGH_EMULATOR) the machine-dependent half comes from test/emulator/emulated_device.h instead.
// Blocks are one-dimensional and a whole number of warps; every thread of a warp takes part in the
// warp functions, every thread of a block in the block functions.
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/math.h"

namespace bough::cuda {

constexpr int warp_size = 32;
constexpr float log2_e = 1.44269504f;  ///< e^x = 2^(x log2_e): exp2 is one instruction

/// The upper half of an f32. Arithmetic happens in f32: to_float, from_float.
struct bf16 {
  uint16_t bits;
};

/// N values that are moved by one instruction (16 bytes at most; longer ones by several).
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Vector {
  T v[N];
  __host__ __device__ T& operator[](int i) { return v[i]; }
  __host__ __device__ const T& operator[](int i) const { return v[i]; }
};

}  // namespace bough::cuda

#if defined(BOUGH_EMULATOR)
#include "emulated_device.h"
#else

namespace bough::cuda {

/// Waits for all threads of the block. `reason`: what would be read or overwritten too early without
/// it; the emulator reports it when threads reach different barriers.
__device__ inline void sync_block([[maybe_unused]] const char* reason) { __syncthreads(); }
/// The same for the threads of a warp, and their shared memory.
__device__ inline void sync_warp([[maybe_unused]] const char* reason) { __syncwarp(); }

/// The value of lane (own lane ^ mask), of lane `source`. T has 4 or 8 bytes.
template <class T>
__device__ inline T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
template <class T>
__device__ inline T shuffle(T value, int source) {
  return __shfl_sync(0xffffffffu, value, source);
}
/// Bit i is lane i's predicate.
__device__ inline uint32_t ballot(bool predicate) { return __ballot_sync(0xffffffffu, predicate); }

/// Static shared memory: `__shared__ SharedArray<float, 32> partial;` inside a kernel or device function.
/// Its content is undefined (NaN in the emulator) when a block starts.
template <class T, int N>
struct alignas(16) SharedArray {
  T values[N];
  __device__ T& operator[](int i) { return values[i]; }
  __device__ T* data() { return values; }
};
/// Dynamic shared memory: LaunchShape::shared_bytes long, 128-byte aligned, undefined at first.
__device__ inline std::byte* dynamic_shared() {
  extern __shared__ __align__(128) std::byte bough_dynamic_shared[];
  return bough_dynamic_shared;
}

/// Copies 16 bytes from global to shared memory in the background, or zeros when !is_inside (`source` is
/// then not read). Both 16-byte aligned. The bytes are there after wait_copies for this thread, after
/// a barrier behind it for the others.
__device__ inline void copy_async(void* shared, const void* source, bool is_inside = true) {
  const uint32_t address = uint32_t(__cvta_generic_to_shared(shared));
  const int bytes = is_inside ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(source), "r"(bytes) : "memory");
}
/// Closes the group of copies since the last call.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `pending` of this thread's latest groups are under way.
template <int pending>
__device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

/// ldmatrix: four 8x8 matrices of 16-bit elements. Lane l gives the (16-byte aligned, shared) address of
/// row l % 8 of matrix l / 8, and gets of every matrix i in r[i]: elements (l / 4, 2 (l % 4)) and the
/// one to its right; transposed: of the transposed matrix.
__device__ inline void load_matrices(uint32_t (&r)[4], const void* row) {
  const uint32_t address = uint32_t(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ inline void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  const uint32_t address = uint32_t(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
/// c (16, 8) += a (16, 16) b (16, 8), bf16 with f32 accumulation. With g = lane / 4, t = lane % 4:
///   c: (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1)
///   a: pairs of columns at (g, 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8)
///   b: pairs of rows at (2t, g), (2t+8, g)
__device__ inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Rounds to nearest even.
__device__ inline bf16 to_bf16(float x) {
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
/// Two rounded values in one word, `low` in the low half: the pairs of multiply_add.
__device__ inline uint32_t pack_bf16(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

/// 2^x (0 where that is no normal number) and 1 / sqrt(x), within 2 ulp.
__device__ inline float exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ inline float log2(float x) { return log2f(x); }
__device__ inline float inverse_sqrt(float x) { return rsqrtf(x); }

/// x, of unknown origin to the compiler: what is computed from it inside a loop is not kept in registers across it.
__device__ inline int opaque(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

/// A vector from or to memory that is aligned for it.
template <int N, class T>
__device__ inline Vector<T, N> load_vector(const T* p) {
  return *reinterpret_cast<const Vector<T, N>*>(p);
}
template <int N, class T>
__device__ inline void store_vector(T* p, const Vector<T, N>& v) {
  *reinterpret_cast<Vector<T, N>*>(p) = v;
}

}  // namespace bough::cuda
#endif

namespace bough::cuda {

__device__ inline int lane_id() { return int(threadIdx.x) % warp_size; }
__device__ inline int warp_id() { return int(threadIdx.x) / warp_size; }
__device__ inline int warp_count() { return int(blockDim.x) / warp_size; }

__device__ inline float to_float(bf16 x) { return math::float_of(uint32_t(x.bits) << 16); }
__device__ inline float to_float(float x) { return x; }
/// The two halves of a packed pair.
__device__ inline float low_float(uint32_t pair) { return math::float_of(pair << 16); }
__device__ inline float high_float(uint32_t pair) { return math::float_of(pair & 0xffff0000u); }

template <class T>
__device__ inline T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline bf16 from_float<bf16>(float x) {
  return to_bf16(x);
}

/// Stores N elements of type f32 as float or bf16.
template <int N, class T>
__device__ inline void store_floats(T* p, const Vector<float, N>& v) {
  Vector<T, N> out;
#pragma unroll
  for (int i = 0; i < N; ++i) out[i] = from_float<T>(v[i]);
  store_vector<N>(p, out);
}
/// The sum or the maximum over the warp, the same bits in every lane (a butterfly: order is fixed).
template <class T>
__device__ inline T warp_sum(T value) {
#pragma unroll
  for (int mask = warp_size / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}
template <class T>
__device__ inline T warp_max(T value) {
#pragma unroll
  for (int mask = warp_size / 2; mask > 0; mask /= 2) {
    const T other = shuffle_xor(value, mask);
    value = other > value ? other : value;
  }
  return value;
}

/// The sums of four values over the warp: that of values[q] in every lane with lane_id() % 4 == q. A third of the
/// shuffles of four warp_sum.
__device__ inline float warp_sums(const float (&values)[4]) {
  const bool odd = lane_id() & 1, high = lane_id() & 2;
  const float low = (odd ? values[1] : values[0]) + shuffle_xor(odd ? values[0] : values[1], 1);
  const float upper = (odd ? values[3] : values[2]) + shuffle_xor(odd ? values[2] : values[3], 1);
  float sum = (high ? upper : low) + shuffle_xor(high ? low : upper, 2);
#pragma unroll
  for (int mask = 4; mask < warp_size; mask *= 2) sum += shuffle_xor(sum, mask);
  return sum;
}

/// The sum over the block, the same bits in every thread.
template <class T>
__device__ inline T block_sum(T value) {
  __shared__ SharedArray<T, warp_size> partial;
  value = warp_sum(value);
  if (lane_id() == 0) partial[warp_id()] = value;
  sync_block("partial sums of other warps would be missing");
  T sum = 0;
  for (int w = 0; w < warp_count(); ++w) sum += partial[w];
  sync_block("the next block_sum would overwrite partial sums still to be read");
  return sum;
}

}  // namespace bough::cuda
