#include "apps/model_average.h"

#include <map>

#include "apps/model_file.h"

namespace bough {
namespace {

/// An array of the result, summed in f64 until it is finished.
struct Sum {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

std::vector<std::string> parameter_names(const NpzReader& file) {
  std::vector<std::string> names;
  for (const std::string& name : file.names())
    if (!name.starts_with("special:")) names.push_back(name);
  return names;
}

void check_same(const NpzReader& first, const NpzReader& other) {
  const auto names = parameter_names(first), others = parameter_names(other);
  check(names.size() == others.size(),
        "'{}': {} arrays, must be {} as in '{}'. Average checkpoints of one model", other.path(),
        others.size(), names.size(), first.path());
  for (const std::string& name : names) {
    check(other.contains(name), "'{}': no array {}, which '{}' has. Average checkpoints of one model",
          other.path(), name, first.path());
    const auto shape = first.header(name).shape, found = other.header(name).shape;
    check(shape == found, "'{}': array {} is ({}), must be ({}) as in '{}'. Average checkpoints of one model",
          other.path(), name, fmt::join(found, ", "), fmt::join(shape, ", "), first.path());
  }
}

Sum average(const std::vector<NpzReader>& files, const std::string& name) {
  const NpzHeader header = files.front().header(name);
  std::vector<double> sum(size_t(header.elements()), 0.0);
  for (const NpzReader& file : files) {
    const std::vector<float> values = file.read_f32(name);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += double(values[i]);
  }
  Sum result{name, header.shape, {}};
  for (double value : sum) result.values.push_back(float(value / double(files.size())));
  return result;
}

/// c / a of every residual site, under the names of the arrays it goes into.
std::map<std::string, double> fold_factors(const ModelOptions& options) {
  std::vector<int> layers;
  std::vector<std::pair<std::string, std::string>> owners;  // weight and bias of a site's last product
  std::vector<double> residual;
  const auto add = [&](const std::string& stack, int layer, const char* weight, const char* bias,
                       const ResidualScales& scales) {
    const std::string prefix = fmt::format("{}_l{}_", stack, layer);
    owners.push_back({prefix + weight, prefix + bias});
    layers.push_back(layer);
    residual.push_back(scales.residual_scale);
  };
  for (int l = 1; l <= options.encoder_layers; ++l) {
    add("encoder", l, "self_Wo", "self_bo", encoder_scales(options));
    add("encoder", l, "ffn_W2", "ffn_b2", encoder_scales(options));
  }
  for (int l = 1; l <= options.decoder_layers; ++l) {
    add("decoder", l, "self_Wo", "self_bo", decoder_scales(options));
    add("decoder", l, "context_Wo", "context_bo", decoder_scales(options));
    add("decoder", l, "ffn_W2", "ffn_b2", decoder_scales(options));
  }
  const std::vector<double> branch = branch_scales(options, layers, options.branchnorm_progress);
  std::map<std::string, double> factors;
  for (size_t i = 0; i < owners.size(); ++i)
    factors[owners[i].first] = factors[owners[i].second] = branch[i] / residual[i];
  return factors;
}

ModelOptions plain_post_ln(ModelOptions options) {
  const ModelOptions defaults;
  options.residual = ResidualKind::post_ln;
  options.branchnorm_max_step = defaults.branchnorm_max_step;
  options.branchnorm_schedule = defaults.branchnorm_schedule;
  options.branchnorm_init = defaults.branchnorm_init;
  options.branchnorm_progress = 0;
  return options;
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
  std::map<std::string, double> factors;
  if (fold && options.is_deep_kind()) {
    factors = fold_factors(options);
    options = plain_post_ln(options);
  }

  std::vector<Sum> sums;
  std::vector<NpzArray> arrays;
  for (const std::string& name : parameter_names(files.front())) {
    sums.push_back(average(files, name));
    if (const auto factor = factors.find(name); factor != factors.end())
      for (float& value : sums.back().values) value = float(double(value) * factor->second);
  }
  for (const Sum& sum : sums) arrays.push_back(npz_array<float>(sum.name, sum.values, sum.shape));
  const std::string yaml = model_yaml_bytes(options);
  arrays.push_back(npz_array<char>(model_yaml_array, {yaml.data(), yaml.size()}));
  write_npz(output, arrays);
}

}  // namespace bough
