// Kernels that are not written yet.
#include "cuda/cuda_backend.h"
#pragma GCC diagnostic ignored "-Wunused-parameter"
namespace bough {
#define KERNEL(name, params) __attribute__((weak)) void CudaBackend::name##_impl params { fail("cuda: kernel " #name " is not there yet"); }
#include "core/kernels.def"
#undef KERNEL
}
