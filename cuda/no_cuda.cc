// What cuda/factory.h means in a build without CUDA.
#include "cuda/factory.h"

namespace bough {

CudaDevice find_cuda_device(int id) {
  fail(
      "devices: GPU {} was asked for, but this bough was built without CUDA. Build it with `cmake --preset cuda`, or "
      "leave out `devices` to use the CPU.",
      id);
}

int require_cuda_devices() {
  fail(
      "devices: GPUs were asked for, but this bough was built without CUDA. Build it with `cmake --preset cuda`, or "
      "leave out `devices` to use the CPU.");
}

void require_nccl(int) { require_cuda_devices(); }

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  find_cuda_device(options.device);
  return nullptr;
}

std::unique_ptr<Communicator> connect_gpus(Communicator&, Backend&) {
  require_cuda_devices();
  return nullptr;
}

int cuda_device_count() { return 0; }

}  // namespace bough
