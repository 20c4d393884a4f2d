#include "apps/inference/model_file.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include "core/base/npz.h"
#include "core/base/thread_pool.h"
#include "core/cpu/factory.h"
#include "layers/parameter_names.h"

namespace bough {
namespace {

using Axes = std::vector<int64_t>;

/// The name under which the file holds a parameter, and whether transposed against file_shape().
struct Place {
  std::string name;
  bool is_transposed = false;
};

Place place_of(const ArrayFile& file, const ParameterPart& part) {
  if (part.name == parameter_names::output && !file.contains(part.name) && file.contains(parameter_names::old_output))
    return {parameter_names::old_output, true};
  return {part.name, false};
}

/// Axis lengths without leading ones: (1, d) and (d) are the same vector.
Axes without_leading_ones(Axes axes) {
  const auto first = std::find_if(axes.begin(), axes.end(), [](int64_t n) { return n != 1; });
  return Axes(first, axes.end());
}

std::string format_axes(const Axes& axes) { return fmt::format("({})", fmt::join(axes, ", ")); }

void check_array(const ArrayFile& file, const ParameterPart& part, ShapesBy by) {
  const Place place = place_of(file, part);
  check(file.contains(place.name), "'{}': array {} is missing, the model that {} has one. {}", file.path(), part.name,
        by == ShapesBy::run ? "this run's options describe" : "its special:model.yml describes",
        by == ShapesBy::run ? "Use the options of the run that wrote it"
                            : "Was the file changed, or made by a program that "
                              "bough does not know?");
  const ArrayDescription found = file.describe(place.name);
  const Shape shape = part.file_shape();
  Axes expected{shape[0], shape[1]};
  if (place.is_transposed) std::swap(expected[0], expected[1]);
  check(without_leading_ones(found.shape) == without_leading_ones(expected), "'{}': array {} is {}, must be {} by {}",
        file.path(), place.name, format_axes(found.shape), format_axes(expected),
        by == ShapesBy::run ? "this run's vocabularies and options. Use those that the model was trained with"
                            : "its special:model.yml. The one or the other was changed: get the file anew");
  check(found.is_real,
        "'{}': array {} holds {}, must hold f32, f16, f64 or intgemm8. Convert the model to float32 first", file.path(),
        place.name, found.type);
}

void check_no_others(const ArrayFile& file, const ParameterSet& parameters, ShapesBy by) {
  std::set<std::string> known;
  for (const ParameterPart& part : parameters.parts()) known.insert(place_of(file, part).name);
  for (const std::string& name : file.names())
    check(known.count(name) == 1 || name.starts_with("special:") || parameter_names::is_int8_multiplier(name),
          "'{}': array {} has no place in the Transformer that {}", file.path(), name,
          by == ShapesBy::run ? "this run's options describe. Use the options of the run that wrote it"
                              : "its special:model.yml describes. bough does not have this variant of the model");
}

void check_arrays(const ArrayFile& file, const ParameterSet& parameters, ShapesBy by) {
  for (const ParameterPart& part : parameters.parts()) check_array(file, part, by);
  check_no_others(file, parameters, by);
}

}  // namespace

ModelOptions read_model_options(const ArrayFile& file) {
  check(file.contains(model_yaml_array),
        "'{}': no special:model.yml in it, must be a model saved by bough or Marian. Give MODEL.npz, not "
        "its optimizer file",
        file.path());
  const std::string source = "'" + file.path() + "'";
  ModelOptions options = ModelOptions::from_yaml(parse_yaml(file.read_text(model_yaml_array), source), source);
  // Marian saves the option of whoever trains a Transformer, but positions stay sinusoids and no array is there.
  if (options.learned_positions && options.max_positions == 0 && !file.contains(parameter_names::positions))
    options.learned_positions = false;
  return options;
}

namespace {

/// Reads parts of the parameters one after another, in the same memory: fresh pages would take longer than the values.
class PartReader {
 public:
  PartReader(const ArrayFile& file, const ParameterSet& parameters)
      : file_(file), parameters_(parameters), pieces_(parameters.kept_pieces()) {}
  void read(ParameterPart part) {
    const Place place = place_of(file_, part);
    if (place.is_transposed) part.is_transposed = !part.is_transposed;
    file_.read_floats(place.name, values_);
    parameters_.insert(pieces_, part, values_, scratch_);
  }

 private:
  const ArrayFile& file_;
  const ParameterSet& parameters_;
  std::vector<ArenaPiece> pieces_;
  std::vector<float> values_, scratch_;
};

/// On the threads of the backend, each with the file for itself: the largest parts first. Memory has no room for more.
void read_checked(const ArrayFile& file, const ParameterSet& parameters) {
  parameters.clear_gaps();
  std::vector<ParameterPart> parts = parameters.parts();
  std::ranges::stable_sort(parts, std::greater(), &ParameterPart::size);
  std::vector<std::unique_ptr<ArrayFile>> files;
  for (int i = 1; i < std::min(parameters.backend().host_threads(), 8); ++i) {
    auto again = file.open_again();
    if (!again) break;
    files.push_back(std::move(again));
  }
  std::atomic<size_t> next = 0;
  ThreadPool pool(int(files.size()) + 1);
  pool.run(pool.threads(), [&](int64_t i) {
    PartReader reader(i == 0 ? file : *files[size_t(i) - 1], parameters);
    for (size_t part = next++; part < parts.size(); part = next++) reader.read(parts[part]);
  });
}

}  // namespace

void read_parameters(const ArrayFile& file, const ParameterSet& parameters, ShapesBy by) {
  check_arrays(file, parameters, by);
  read_checked(file, parameters);
}

int64_t read_matching_parameters(const ArrayFile& file, const ParameterSet& parameters) {
  int64_t found = 0;
  PartReader reader(file, parameters);
  for (const ParameterPart& part : parameters.parts()) {
    if (!file.contains(place_of(file, part).name)) continue;
    check_array(file, part, ShapesBy::run);
    reader.read(part);
    ++found;
  }
  check(found > 0, "'{}': none of this model's parameters are in it, must be a model with some of the same names",
        file.path());
  return found;
}

std::vector<double> saved_branch_scales(const ModelOptions& options) {
  std::vector<int> layers;
  for (int l = 1; l <= options.encoder_layers; ++l) layers.insert(layers.end(), 2, l);
  for (int l = 1; l <= options.decoder_layers; ++l) layers.insert(layers.end(), 3, l);
  return branch_scales(options, layers, options.branchnorm_progress);
}

namespace {

/// By how much the activations that a parameter is multiplied by are multiplied, as the file says.
float saved_input_multiplier(const ArrayFile& file, const std::string& array) {
  std::string name = parameter_names::int8_multiplier(array);
  if (!file.contains(name) && array.ends_with(parameter_names::embedding))
    name = parameter_names::listed_int8_multiplier;
  check(
      file.contains(name),
      "'{}': no array {}, which gemm-precision ...Alpha... takes multipliers of activations from. Use gemm-precision: "
      "int8, or write the model with bough-average --export-int8 --calibrate",
      file.path(), parameter_names::int8_multiplier(array));
  check(file.describe(name).is_real, "'{}': array {} holds {}, must hold a number. Get the file anew", file.path(),
        name, file.describe(name).type);
  const std::vector<float> value = file.read_floats(name);
  check(value.size() == 1 && value[0] > 0 && std::isfinite(value[0]),
        "'{}': array {} must hold one positive number. Get the file anew", file.path(), name);
  return value[0];
}

bool is_output(const ModelOptions& options, const std::string& parameter) {
  if (!options.ties_output()) return parameter == parameter_names::output;
  return parameter ==
         (options.ties_source_and_target() ? parameter_names::embedding : parameter_names::target_embedding);
}

/// Rounds the parts that int8 models have in 8 bits, and returns their multipliers.
std::map<std::string, Int8Part> int8_parts(const ArrayFile& file, const Model& model, bool has_alphas) {
  const ParameterSet& parameters = *model.parameters;
  std::map<std::string, Int8Part> parts;
  for (const ParameterPart& part : parameters.parts()) {
    if (!parameter_names::is_int8_matrix(part.name)) continue;
    const std::string array = place_of(file, part).name;
    Int8Part& of_part = parts[part.name];
    of_part.weight = file.int8_multiplier(array);
    if (of_part.weight == 0) {
      const Tensor place = parameters.values().view(part.first, {part.size()});
      std::vector<float> values = parameters.download(place);
      of_part.weight = round_to_int8(values);
      parameters.upload(place, values);
    }
    const bool is_looked_up = part.name.ends_with(parameter_names::embedding) && !is_output(model.options, part.name);
    if (has_alphas && !is_looked_up) of_part.input = saved_input_multiplier(file, array);
  }
  return parts;
}

}  // namespace

float round_to_int8(std::vector<float>& values) {
  // In loops that become vectors without newer instructions: sizes of floats are in the order of their bits, and adding
  // 1.5 * 2^23 rounds, half to even, what is at most 127.
  int32_t bits = 0;
  for (const float value : values) bits = std::max(bits, std::bit_cast<int32_t>(value) & 0x7fffffff);
  const float largest = std::bit_cast<float>(bits);
  const float multiplier = !std::isfinite(largest) ? std::numeric_limits<float>::quiet_NaN()
                           : largest == 0          ? 1
                                                   : 127 / largest;
  constexpr float shift = 12582912;
  for (float& value : values) value *= multiplier;  // apart, or a build with fused multiply-adds rounds otherwise
  for (float& value : values) value = (value + shift - shift) / multiplier;
  return multiplier;
}

Tensor inference_state(const std::vector<double>& branch_scales, Backend& backend) {
  UpdateState state;
  state.branch_scales = branch_scales;
  const std::vector<int32_t> words = state.pack();
  const Tensor tensor = backend.allocate_persistent({int64_t(words.size())}, DType::i32);
  backend.upload(tensor, words.data());
  return tensor;
}

Model load_model(const std::string& path, Backend& backend, GemmPrecision precision) {
  return load_model(*open_array_file(path), backend, precision);
}

void check_is_model(const ArrayFile& file) {
  check(!file.contains(training_state_array), "'{}' is the optimizer file of a model. Give MODEL.npz itself",
        file.path());
}

namespace {

/// The model that a file holds, before memory is asked for.
Model checked_model(const ArrayFile& file, Backend& backend) {
  check_is_model(file);
  Model model{read_model_options(file), std::make_unique<ParameterSet>(backend), nullptr};
  model.transformer = std::make_unique<Transformer>(model.options, nullptr, *model.parameters);
  model.parameters->lay_out();
  check_arrays(file, *model.parameters, ShapesBy::model_file);
  return model;
}

}  // namespace

void check_arrays(const ArrayFile& file) { checked_model(file, *make_cpu_backend(1)); }

Model load_model(const ArrayFile& file, Backend& backend, GemmPrecision precision) {
  Model model = checked_model(file, backend);
  model.parameters->allocate(false);
  read_checked(file, *model.parameters);
  if (precision != GemmPrecision::float32 && backend.name() == "cpu")
    model.parameters->set_int8(int8_parts(file, model, precision == GemmPrecision::int8_alphas));
  model.parameters->values_changed();
  model.transformer->set_update_state(inference_state(saved_branch_scales(model.options), backend));
  return model;
}

std::string model_yaml_bytes(const ModelOptions& options) {
  // One zero byte, as Marian writes: other programs' converters cut exactly one off.
  return format_yaml(options.to_yaml()) + '\0';
}

void save_model(const std::string& path, const ModelOptions& options, const ParameterSet& parameters,
                const WholeArena& arena) {
  std::vector<NpzArray> arrays;
  std::vector<float> values;  // of one array
  for (const ParameterPart& part : parameters.parts()) {
    const Shape shape = part.file_shape();
    arrays.push_back({part.name, {shape[0], shape[1]}, NpzType::f32, nullptr, [&](size_t) {
                        values = parameters.extract(arena, part);
                        return std::as_bytes(std::span(values));
                      }});
  }
  const std::string yaml = model_yaml_bytes(options);
  arrays.push_back(npz_array<char>(model_yaml_array, {yaml.data(), yaml.size()}));
  write_npz(path, arrays);
}

}  // namespace bough
