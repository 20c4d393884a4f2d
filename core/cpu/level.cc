#include "core/cpu/factory.h"
#include "core/cpu/panels.h"

namespace bough {

std::string_view name_of(CpuLevel level) {
  switch (level) {
    case CpuLevel::generic:
      return "generic";
    case CpuLevel::avx2:
      return "avx2";
    case CpuLevel::avx512:
      return "avx512";
  }
  return "?";
}

#if defined(__x86_64__)

const std::vector<CpuLevel>& cpu_levels() {
  // The sets of x86-64-v3 and x86-64-v4.
  static const std::vector<CpuLevel> levels = [] {
    std::vector<CpuLevel> found{CpuLevel::generic};
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
      return found;
    found.push_back(CpuLevel::avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      found.push_back(CpuLevel::avx512);
    return found;
  }();
  return levels;
}

const PanelKernels& panel_kernels(CpuLevel level) {
  if (level == CpuLevel::avx512) return avx512::panel_kernels;
  return level == CpuLevel::avx2 ? avx2::panel_kernels : generic::panel_kernels;
}

#else

const std::vector<CpuLevel>& cpu_levels() {
  static const std::vector<CpuLevel> levels{CpuLevel::generic};
  return levels;
}

const PanelKernels& panel_kernels(CpuLevel) { return generic::panel_kernels; }

#endif

}  // namespace bough
