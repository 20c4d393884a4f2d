#pragma once
#include <cuda_runtime.h>

#include "core/base/error.h"
#include "core/tensor.h"
#include "cuda/device.h"

namespace bough::cuda {

/// Where work goes. With debug_sync every launch waits, so that an error names its kernel.
struct Stream {
  cudaStream_t handle = nullptr;
  bool debug_sync = false;
};

/// Blocks, threads and shared memory of a kernel's launch.
struct LaunchShape {
  dim3 grid;
  unsigned threads = 0;     ///< of a block: a multiple of 32, at most 1024
  size_t shared_bytes = 0;  ///< of dynamic_shared()
};

/// Dynamic shared memory that a kernel may have unasked. The device grants 48 KiB, of which the kernel's static arrays
/// take their part.
constexpr size_t free_shared_bytes = 40 * 1024;

/// Throws Error "cuda: <what> failed: <CUDA's words>" unless ok. Launches are asynchronous: an error may
/// belong to earlier work.
void check_cuda(cudaError_t status, const char* what);
/// Called behind every launch: reports a launch that failed, and with debug_sync one that ran badly.
void check_launch(cudaError_t status, const char* kernel, const Stream& stream);
/// Lets `kernel` use more dynamic shared memory than free_shared_bytes.
void allow_shared_bytes(const void* kernel, const char* name, size_t bytes);

/// The only place a kernel is started. An empty grid is no launch.
template <class... P, class... A>
void launch(const Stream& stream, const char* name, void (*kernel)(P...), const LaunchShape& shape, A&&... args) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
  if (shape.shared_bytes > free_shared_bytes)
    allow_shared_bytes(reinterpret_cast<const void*>(kernel), name, shape.shared_bytes);
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream.handle;
  check_launch(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...), name, stream);
}

/// Calls f.template operator()<T>() with T = float or bf16.
template <class F>
decltype(auto) dispatch_float(DType dtype, F&& f) {
  if (dtype == DType::bf16) return f.template operator()<bf16>();
  check(dtype == DType::f32, "no CUDA kernel for {}", name_of(dtype));
  return f.template operator()<float>();
}

/// ceil(n / d), for grids.
inline unsigned blocks_for(int64_t n, int64_t per_block) { return unsigned((n + per_block - 1) / per_block); }

}  // namespace bough::cuda
