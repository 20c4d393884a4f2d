// x[i] = a hash of i as a number in [-1, 1).
#include "cuda/memory.h"

namespace bough::cuda {
namespace {

constexpr unsigned threads = 256;

template <class T>
__global__ void fill_random_kernel(T* x, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) x[i] = from_float<T>(float(mix_bits(uint64_t(i)) >> 40) * 0x1p-23f - 1.0f);
}

}  // namespace

void fill_random(const Stream& stream, std::byte* memory, size_t bytes, DType dtype) {
  dispatch_float(dtype, [&]<class T>() {
    const int64_t n = int64_t(bytes / sizeof(T));
    launch(stream, "fill_random", fill_random_kernel<T>, {blocks_for(n, threads), threads},
           reinterpret_cast<T*>(memory), n);
  });
}

}  // namespace bough::cuda
