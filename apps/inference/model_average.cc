#include "apps/inference/model_average.h"

#include "apps/inference/model_export.h"
#include "apps/inference/model_file.h"

namespace bough {
namespace {

std::vector<std::string> parameter_names(const NpzReader& file) {
  std::vector<std::string> names;
  for (const std::string& name : file.names())
    if (!name.starts_with("special:")) names.push_back(name);
  return names;
}

void check_same(const NpzReader& first, const NpzReader& other) {
  const auto names = parameter_names(first), others = parameter_names(other);
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

/// Summed in f64 until it is finished.
ModelArray average(const std::vector<NpzReader>& files, const std::string& name) {
  const NpzHeader header = files.front().header(name);
  std::vector<double> sum(size_t(header.elements()), 0.0);
  for (const NpzReader& file : files) {
    const std::vector<float> values = file.read_f32(name);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += double(values[i]);
  }
  ModelArray result{name, header.shape, {}};
  for (double value : sum) result.values.push_back(float(value / double(files.size())));
  return result;
}

}  // namespace

void average_models(const std::string& output, const std::vector<std::string>& inputs, bool fold) {
  std::vector<NpzReader> files;
  for (const std::string& path : inputs) files.emplace_back(path);
  ModelOptions options;
  for (const NpzReader& file : files) {
    check_same(files.front(), file);
    options = read_model_options(file);
  }
  std::vector<ModelArray> means;
  for (const std::string& name : parameter_names(files.front())) means.push_back(average(files, name));
  if (fold) make_plain(options, means);

  std::vector<NpzArray> arrays;
  for (const ModelArray& mean : means) arrays.push_back(npz_array<float>(mean.name, mean.values, mean.shape));
  const std::string yaml = model_yaml_bytes(options);
  arrays.push_back(npz_array<char>(model_yaml_array, {yaml.data(), yaml.size()}));
  write_npz(output, arrays);
}

}  // namespace bough
