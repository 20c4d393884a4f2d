#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/settings.h"
#include "core/cpu/factory.h"

namespace bough {

/// What products are computed in; tf32: f32 values of which a GPU multiplies 10 bits of mantissa.
enum class ComputeType { float32, tf32, bfloat16 };

/// "bfloat16", as the option `precision` has it.
std::string name_of(ComputeType type);

/// What products with a model's weights are computed in.
enum class GemmPrecision : uint8_t {
  float32,
  int8,         ///< activations by 127 / max |x| of each row
  int8_alphas,  ///< activations by multipliers that the model file has
};

/// `devices: 0 1` or `all`.
struct DeviceList {
  bool all = false;
  std::vector<int> ids;
  /// Whether the user named devices.
  bool given() const { return all || !ids.empty(); }
};
bool parse_items(const std::vector<std::string>& items, DeviceList& value);
std::vector<std::string> format_items(const DeviceList& value);

/// Where and in which precision to compute.
struct MachineOptions {
  DeviceList devices;                 ///< not given: the GPU where build and machine have one
  int num_devices = 0;                ///< so many of them, the first; 0: all that `devices` names
  int cpu_threads = 0;                ///< > 0 selects the CPU
  std::optional<CpuLevel> cpu_level;  ///< none: the machine's best
  int workspace = 2048;               ///< MiB for activations; negative = all device memory but that
  bool debug_sync = false;
  std::vector<ComputeType> precision;                     ///< none: bfloat16 on a GPU, float32 on the CPU
  GemmPrecision gemm_precision = GemmPrecision::float32;  ///< of programs that do not train

  /// The type asked for, if any.
  std::optional<ComputeType> compute_type() const {
    return precision.empty() ? std::nullopt : std::optional(precision.front());
  }
  /// Whether a run of one process would have to leave some of the GPUs asked for alone.
  bool asks_for_several() const {
    return devices.all || num_devices > 1 || (devices.ids.size() > 1 && num_devices == 0);
  }
  void settings(Settings& v);
  /// Of programs that do not train.
  void inference_settings(Settings& v);
  void validate() const;
  /// Of programs that compute on one GPU: Error where several are asked for.
  void check_one_device(std::string_view program) const;
};

}  // namespace bough
