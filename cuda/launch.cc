#include "cuda/launch.h"

namespace bough::cuda {

void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) [[likely]] return;
  cudaGetLastError();  // reported here, not once more behind the next launch
  fail("cuda: {} failed: {} ({}). An earlier kernel may be the cause: run with --debug-sync to find it.", what,
       cudaGetErrorString(status), cudaGetErrorName(status));
}

void check_launch(cudaError_t status, const char* kernel, const Stream& stream) {
  if (status == cudaErrorNoKernelImageForDevice)
    fail("cuda: this bough has no code for the device's architecture. Build it with "
         "-DBOUGH_CUDA_ARCHITECTURES=native on the machine that is to run it.");
  if (status == cudaSuccess && stream.debug_sync) {
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    check_cuda(cudaStreamIsCapturing(stream.handle, &capture), "asking for the state of a stream");
    if (capture == cudaStreamCaptureStatusNone) status = cudaStreamSynchronize(stream.handle);
  }
  if (status == cudaSuccess) [[likely]] return;
  cudaGetLastError();
  fail("cuda: kernel {} failed: {} ({}).{}", kernel, cudaGetErrorString(status), cudaGetErrorName(status),
       stream.debug_sync ? "" : " An earlier kernel may be the cause: run with --debug-sync to find it.");
}

void allow_shared_bytes(const void* kernel, const char* name, size_t bytes) {
  const cudaError_t status =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
  cudaGetLastError();
  check(status == cudaSuccess, "cuda: kernel {} needs {} bytes of shared memory, which this device does not have: {}",
        name, bytes, cudaGetErrorString(status));
}

}  // namespace bough::cuda
