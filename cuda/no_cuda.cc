// What cuda/factory.h means in a build without CUDA.
#include "cuda/factory.h"

namespace bough {

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  fail("cuda: device {} was asked for, but this bough was built without CUDA. Build it with `cmake "
       "--preset cuda`, or leave out `devices` to use the CPU.",
       options.device);
}

int cuda_device_count() { return 0; }

}  // namespace bough
