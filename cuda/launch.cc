#include "cuda/launch.h"

namespace bough::cuda {

void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) [[likely]]
    return;
  cudaGetLastError();  // reported here, not once more behind the next launch
  fail("cuda: {} failed: {} ({}). An earlier kernel may be the cause: run with --debug-sync to find it.", what,
       cudaGetErrorString(status), cudaGetErrorName(status));
}

namespace {

[[noreturn]] void fail_no_code() {
  cudaGetLastError();
  int id = 0;
  cudaDeviceProp properties{};
  check_cuda(cudaGetDevice(&id), "asking for the device");
  check_cuda(cudaGetDeviceProperties(&properties, id), "reading the device's properties");
  fail(
      "cuda: device {} ({}) has compute capability {}.{}, but this bough was built for {}. Build it with "
      "-DBOUGH_CUDA_ARCHITECTURES={}{}, choose another with `devices`, or set cpu-threads to use the CPU.",
      id, properties.name, properties.major, properties.minor, BOUGH_CUDA_BUILT_FOR, properties.major,
      properties.minor);
}

}  // namespace

void check_launch(cudaError_t status, const char* kernel, const Stream& stream) {
  if (status == cudaErrorNoKernelImageForDevice) fail_no_code();
  if (status == cudaSuccess && stream.debug_sync) {
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    check_cuda(cudaStreamIsCapturing(stream.handle, &capture), "asking for the state of a stream");
    if (capture == cudaStreamCaptureStatusNone) status = cudaStreamSynchronize(stream.handle);
  }
  if (status == cudaSuccess) [[likely]]
    return;
  cudaGetLastError();
  fail("cuda: kernel {} failed: {} ({}).{}", kernel, cudaGetErrorString(status), cudaGetErrorName(status),
       stream.debug_sync ? "" : " An earlier kernel may be the cause: run with --debug-sync to find it.");
}

void allow_shared_bytes(const void* kernel, const char* name, size_t bytes) {
  const cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
  cudaGetLastError();
  check(status == cudaSuccess, "cuda: kernel {} needs {} bytes of shared memory, which this device does not have: {}",
        name, bytes, cudaGetErrorString(status));
}

}  // namespace bough::cuda
