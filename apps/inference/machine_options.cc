#include "apps/inference/machine_options.h"

#include <algorithm>

namespace bough {
namespace {

const EnumNames<ComputeType> compute_names = {
    {"float32", ComputeType::float32},
    {"tf32", ComputeType::tf32},
    {"bfloat16", ComputeType::bfloat16},
    {"float16", ComputeType::bfloat16}};  // as fast, and with the range of float32
// shift: how bytes are made unsigned; All: the output layer, too. Here both are always so.
const EnumNames<GemmPrecision> gemm_names = {{"float32", GemmPrecision::float32},
                                             {"int8", GemmPrecision::int8},
                                             {"int8Alpha", GemmPrecision::int8_alphas},
                                             {"int8shift", GemmPrecision::int8},
                                             {"int8shiftAlpha", GemmPrecision::int8_alphas},
                                             {"int8shiftAll", GemmPrecision::int8},
                                             {"int8shiftAlphaAll", GemmPrecision::int8_alphas},
                                             {"int16", GemmPrecision::float32}};
const EnumNames<GemmPrecision> gemm_type_names = [] {
  EnumNames<GemmPrecision> names = gemm_names;
  for (const char* name : {"intgemm8", "packed8", "packed8avx2", "packed8avx512"})
    names.emplace_back(name, GemmPrecision::int8);
  for (const char* name : {"intgemm16", "packed16", "auto"}) names.emplace_back(name, GemmPrecision::float32);
  return names;
}();
const EnumNames<std::optional<CpuLevel>> level_names = {
    {"auto", std::nullopt}, {"generic", CpuLevel::generic}, {"avx2", CpuLevel::avx2}, {"avx512", CpuLevel::avx512}};

constexpr int most_devices = 1 << 10;

}  // namespace

std::string name_of(ComputeType type) {
  for (const auto& [name, value] : compute_names)
    if (value == type) return std::string(name);
  return "?";
}

bool parse_items(const std::vector<std::string>& items, DeviceList& value) {
  DeviceList parsed;
  for (const std::string& item : items) {
    for (size_t at = 0; at < item.size();) {  // scripts write --devices "0 1", too
      const size_t end = std::min(item.find(' ', at), item.size());
      const std::string word = item.substr(at, end - at);
      at = end + 1;
      int id = 0;
      if (word.empty()) continue;
      if (word == "all")
        parsed.all = true;
      else if (parse_value(word, id) && id >= 0)
        parsed.ids.push_back(id);
      else
        return false;
    }
  }
  if (parsed.all && !parsed.ids.empty()) return false;
  value = parsed;
  return true;
}

std::vector<std::string> format_items(const DeviceList& value) {
  if (value.all) return {"all"};
  std::vector<std::string> items;
  for (int id : value.ids) items.push_back(format_value(id));
  return items;
}

void MachineOptions::settings(Settings& v) {
  v.group("Machine");
  v.items(
      devices, {"devices", 'd'},
      "GPUs to compute on, by number. Without it: the first GPU where build and machine have one, "
      "else the CPU. bough-train starts a process on each of several, the others a thread with a copy of the models",
      "GPU numbers such as 0 1, or all");
  v(num_devices, "num-devices",
    "take the first so many of devices, of all that there are without it; 0 = what devices says",
    Range<int>{0, most_devices});
  v(cpu_threads, {"cpu-threads", 0, "1"},
    "compute on the CPU with this many threads; 0 = on a GPU if there is one, else on all CPU "
    "cores",
    Range<int>{0, most_threads});
  v(cpu_level, "cpu-level",
    "instructions that matrix products on the CPU use, and in a portable build its other kernels, too; auto = the "
    "machine's best. Products have the same bits with all",
    level_names);
  v(workspace, {"workspace", 'w'}, "MiB of memory for activations; negative: all of the device's memory but that much");
  v(precision, "precision",
    "type of the computation, and of the optimizer, which is always float32. none = bfloat16 on a GPU, float32 on "
    "the CPU. On a GPU also tf32: float32 whose matrix products round their inputs to 10 bits of mantissa, for speed. "
    "float16 means bfloat16. A third one, Marian's for the saved model, is always float32, too",
    compute_names);
  v.warn_of("float16", "float16 means bfloat16 here: as fast, and without cost scaling");
  v.alias("fp16",
          "as precision bfloat16 float32, which takes the place of float16: as fast, and without cost "
          "scaling",
          false, {});
  v.remark("means bfloat16 here: precision is bfloat16 float32, without cost scaling", "false", Remark::warning);
  v(debug_sync, "debug-sync", "wait after every kernel of the GPU, so that an error names the one that failed; slow");
}

void MachineOptions::inference_settings(Settings& v) {
  v(gemm_precision, "gemm-precision",
    "what products with the model's matrices are computed in on the CPU. int8: weights are rounded to 8 bits, "
    "activations by the largest of each row, and sums are exact; much faster. Alpha: activations by multipliers that "
    "the model file has. Marian's other names mean the same two",
    gemm_names);
  v.warn_of("int16", "int16 means float32 here: int8 is the faster one");
  v(gemm_precision, {"gemm-type", 'g'}, "the same, by older names", gemm_type_names);
  v.warn_of("packed16", "packed16 means float32 here: int8 is the faster one");
  constexpr auto clips = "weights are rounded to 8 bits by the largest of their matrix";
  v.accepted<double>("quantize-range", clips);
  v.remark(std::string("has no effect: ") + clips, "0", Remark::warning);
  v.accepted<bool>("optimize", "gemm-precision int8 does it");
  v.remark("has no effect: gemm-precision int8 does what it did", "false", Remark::warning);
}

void MachineOptions::validate() const {
  check(precision.size() <= 3, "precision has {} values, must have 1 to 3: computation, optimizer, saved model",
        precision.size());
  for (size_t i = 1; i < precision.size(); ++i)
    check(precision[i] == ComputeType::float32,
          "precision: the {}'s type is {}, must be float32. Small updates would be lost",
          i == 1 ? "optimizer" : "saved model", name_of(precision[i]));
  std::vector<int> sorted = devices.ids;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  check(twice == sorted.end(), "devices names GPU {} twice, must name each once", twice == sorted.end() ? 0 : *twice);
  check(devices.ids.empty() || num_devices <= int(devices.ids.size()),
        "num-devices is {}, must be at most {}: devices names no more", num_devices, devices.ids.size());
  check(!(devices.given() && cpu_threads > 0),
        "devices and cpu-threads are both given, must be one of them: cpu-threads selects the CPU");
}

void MachineOptions::check_one_device(std::string_view program) const {
  check(!asks_for_several(), "devices asks for several GPUs, must be one number: {} computes on one", program);
}

}  // namespace bough
