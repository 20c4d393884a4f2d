#include <algorithm>

#include "core/cpu/int8_panels.h"
#include "core/cpu/levels.h"
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

std::vector<const Int8Kernels*> all_int8_kernels() {
  std::vector<const Int8Kernels*> all{&generic::int8_kernels};
  if (cpu_levels().size() > 1) all.push_back(&avx2::int8_kernels);
  if (cpu_levels().size() > 2) all.push_back(&avx512::int8_kernels);
  if (const Int8Kernels* best = &int8_kernels(cpu_levels().back()); best != all.back()) all.push_back(best);
  return all;
}

const Int8Kernels& int8_kernels(CpuLevel level) {
  if (level == CpuLevel::avx512)
    return __builtin_cpu_supports("avx512vnni") ? avx512_vnni::int8_kernels : avx512::int8_kernels;
  return level == CpuLevel::avx2 ? avx2::int8_kernels : generic::int8_kernels;
}

#else

const std::vector<CpuLevel>& cpu_levels() {
  static const std::vector<CpuLevel> levels{CpuLevel::generic};
  return levels;
}

const PanelKernels& panel_kernels(CpuLevel) { return generic::panel_kernels; }
const Int8Kernels& int8_kernels(CpuLevel) { return generic::int8_kernels; }
std::vector<const Int8Kernels*> all_int8_kernels() { return {&generic::int8_kernels}; }

#endif

#if defined(BOUGH_PORTABLE)

bool level_is_of_all_kernels() { return true; }

static std::unique_ptr<Backend> backend_for(int threads, DType compute_dtype, CpuLevel level) {
  if (level == CpuLevel::avx512) return avx512::make_backend_of_level(threads, compute_dtype, level);
  if (level == CpuLevel::avx2) return avx2::make_backend_of_level(threads, compute_dtype, level);
  return generic::make_backend_of_level(threads, compute_dtype, level);
}

#else

bool level_is_of_all_kernels() { return false; }

static std::unique_ptr<Backend> backend_for(int threads, DType compute_dtype, CpuLevel level) {
  return native::make_backend_of_level(threads, compute_dtype, level);
}

#endif

std::unique_ptr<Backend> make_cpu_backend(int threads, DType compute_dtype, CpuLevel level) {
  const std::vector<CpuLevel>& levels = cpu_levels();
  check(std::find(levels.begin(), levels.end(), level) != levels.end(),
        "cpu-level: {} is asked for, this machine lacks it. Use auto, or {}", name_of(level), name_of(levels.back()));
  return backend_for(threads, compute_dtype, level);
}

}  // namespace bough
