#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "core/backend.h"

namespace bough {

/// Instructions of products, which have the same bits at each, and of all kernels if portable. generic: any machine.
enum class CpuLevel : uint8_t { generic, avx2, avx512 };
/// "avx2", as the option `cpu-level` has it.
std::string_view name_of(CpuLevel level);
/// The levels that this machine has, the fastest last.
const std::vector<CpuLevel>& cpu_levels();

/// The CPU: f32, or f64 for tests. Error where the machine lacks `level`.
std::unique_ptr<Backend> make_cpu_backend(int threads, DType compute_dtype = DType::f32,
                                          CpuLevel level = cpu_levels().back());

}  // namespace bough
