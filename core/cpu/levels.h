#pragma once
#include <memory>

#include "core/cpu/factory.h"

// The backend, as often as it is compiled (core/cpu/levels.cmake): for one machine, or for each level of instructions.

namespace bough {

/// Whether the level chooses all kernels (a portable build), or products alone.
bool level_is_of_all_kernels();

namespace native {
std::unique_ptr<Backend> make_backend_of_level(int threads, DType compute_dtype, CpuLevel level);
}
namespace generic {
std::unique_ptr<Backend> make_backend_of_level(int threads, DType compute_dtype, CpuLevel level);
}
namespace avx2 {
std::unique_ptr<Backend> make_backend_of_level(int threads, DType compute_dtype, CpuLevel level);
}
namespace avx512 {
std::unique_ptr<Backend> make_backend_of_level(int threads, DType compute_dtype, CpuLevel level);
}

}  // namespace bough
