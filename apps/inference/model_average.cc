#include "apps/inference/model_average.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/inference/model_export.h"
#include "apps/inference/model_file.h"
#include "core/base/half.h"
#include "core/base/marian_binary.h"
#include "core/base/npz.h"
#include "layers/parameter_names.h"

namespace bough {
namespace {

std::vector<std::string> names_of_parameters(const NpzReader& file) {
  std::vector<std::string> names;
  for (const std::string& name : file.names())
    if (!name.starts_with("special:") && !parameter_names::is_int8_multiplier(name)) names.push_back(name);
  return names;
}

void check_same_arrays(const NpzReader& first, const NpzReader& other) {
  const auto names = names_of_parameters(first), others = names_of_parameters(other);
  check(names.size() == others.size(), "'{}': {} arrays, must be {} as in '{}'. Average checkpoints of one model",
        other.path(), others.size(), names.size(), first.path());
  for (const std::string& name : names) {
    check(other.contains(name), "'{}': no array {}, which '{}' has. Average checkpoints of one model", other.path(),
          name, first.path());
    const auto shape = first.header(name).shape, found = other.header(name).shape;
    check(shape == found, "'{}': array {} is ({}), must be ({}) as in '{}'. Average checkpoints of one model",
          other.path(), name, fmt::join(found, ", "), fmt::join(shape, ", "), first.path());
  }
}

/// A checkpoint to average.
struct Input {
  NpzReader file;
  ModelOptions options;
  std::vector<double> branch_scales;
  std::map<std::string, double> factors = {};  // of arrays that are multiplied first

  explicit Input(const std::string& path)
      : file(path), options(read_model_options(file)), branch_scales(saved_branch_scales(options)) {
    check_is_model(file);
  }
};

void check_same(const Input& first, const Input& other) {
  if (const auto change = other.options.change_of_arithmetic(first.options))
    fail("'{}': {} is {}, must be {} as in '{}'. Average checkpoints of one model", other.file.path(), change->name,
         change->now, change->before, first.file.path());
  check_same_arrays(first.file, other.file);
}

/// Summed in f64 until it is finished.
ModelArray average(const std::vector<Input>& inputs, const std::string& name) {
  const NpzHeader header = inputs.front().file.header(name);
  std::vector<double> sum(size_t(header.elements()), 0.0);
  for (const Input& input : inputs) {
    const std::vector<float> values = input.file.read_floats(name);
    check(std::ranges::all_of(values, [](float value) { return std::isfinite(value); }),
          "'{}': array {} holds what is not finite: the model has diverged in training. Leave it out",
          input.file.path(), name);
    const auto at = input.factors.find(name);
    const double factor = at == input.factors.end() ? 1 : at->second;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += factor * double(values[i]);
  }
  ModelArray result{name, header.shape, {}};
  for (double value : sum) result.values.push_back(float(value / double(inputs.size())));
  return result;
}

struct Mean {
  ModelOptions options;
  std::vector<ModelArray> arrays;
};

Mean mean_of(const std::vector<std::string>& inputs, bool fold) {
  std::vector<Input> files;
  for (const std::string& path : inputs) {
    check(!MarianBinary::is_at(path),
          "'{}' is a binary model, which programs only run. Give the .npz that it was made from", path);
    files.emplace_back(path);
  }
  check_arrays(files.front().file);
  for (const Input& input : files) check_same(files.front(), input);
  Mean mean{files.back().options, {}};
  // The mean of alpha F(x) is not the mean alpha times the mean F(x).
  if (std::any_of(files.begin(), files.end(),
                  [&](const Input& input) { return input.branch_scales != files.front().branch_scales; })) {
    for (Input& input : files) input.factors = fold_factors(input.options, input.branch_scales);
    mean.options = plain_post_ln(mean.options);
  }
  for (const std::string& name : names_of_parameters(files.front().file)) mean.arrays.push_back(average(files, name));
  if (fold) make_plain(mean.options, mean.arrays, files.back().branch_scales);
  return mean;
}

std::vector<uint16_t> halves_of(const ModelArray& array) {
  std::vector<uint16_t> halves;
  for (const float value : array.values) {
    check(std::abs(value) < 65520,
          "float16: array {} has the number {}, the largest that 16 bits hold is 65504. Leave float16 out", array.name,
          value);
    halves.push_back(to_half(value));
  }
  return halves;
}

}  // namespace

void average_models(const std::string& output, const std::vector<std::string>& inputs, bool fold, bool in_half) {
  const Mean mean = mean_of(inputs, fold);
  std::vector<NpzArray> arrays;
  std::vector<std::vector<uint16_t>> halves;
  for (const ModelArray& array : mean.arrays)
    if (in_half)
      arrays.push_back({array.name, array.shape, NpzType::f16, halves.emplace_back(halves_of(array)).data()});
    else
      arrays.push_back(npz_array<float>(array.name, array.values, array.shape));
  const std::string yaml = model_yaml_bytes(mean.options);
  arrays.push_back(npz_array<char>(model_yaml_array, {yaml.data(), yaml.size()}));
  write_npz(output, arrays);
}

void average_to_int8(const std::string& output, const std::vector<std::string>& inputs,
                     const Calibration& calibration) {
  const Mean mean = mean_of(inputs, true);
  export_int8(output, inputs.back(), mean.options, mean.arrays, calibration);
}

}  // namespace bough
