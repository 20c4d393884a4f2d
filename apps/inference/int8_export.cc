#include "apps/inference/int8_export.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "apps/inference/model_file.h"
#include "apps/inference/text_encoder.h"
#include "apps/inference/translator.h"
#include "core/base/io.h"
#include "core/base/marian_binary_writer.h"
#include "core/cpu/factory.h"
#include "layers/parameter_names.h"

namespace bough {

namespace names = parameter_names;

namespace {

/// Arrays in memory as a file.
class ArraysInMemory final : public ArrayFile {
 public:
  ArraysInMemory(std::string path, const ModelOptions& options, const std::vector<ModelArray>& arrays)
      : path_(std::move(path)), yaml_(model_yaml_bytes(options)) {
    yaml_.pop_back();
    for (const ModelArray& array : arrays) {
      names_.push_back(array.name);
      arrays_[array.name] = &array;
    }
    names_.push_back(model_yaml_array);
  }
  const std::string& path() const override { return path_; }
  const std::vector<std::string>& names() const override { return names_; }
  bool contains(const std::string& name) const override { return name == model_yaml_array || arrays_.count(name) == 1; }
  ArrayDescription describe(const std::string& name) const override {
    if (name == model_yaml_array) return {{int64_t(yaml_.size())}, "i8", false};
    return {arrays_.at(name)->shape, "f32", true};
  }
  void read_floats(const std::string& name, std::vector<float>& values) const override {
    values = arrays_.at(name)->values;
  }
  std::string read_text(const std::string&) const override { return yaml_; }

 private:
  std::string path_, yaml_;
  std::vector<std::string> names_;
  std::map<std::string, const ModelArray*> arrays_;
};

void translate(Model& model, Backend& backend, const Calibration& calibration, const std::string& path) {
  const auto vocabularies = load_model_vocabularies(calibration.vocabularies, model.options, path);
  Ensemble ensemble(*model.transformer, vocabularies.front()->special(), vocabularies.back()->special());
  constexpr int64_t longest = 1000;
  TextEncoder encoder("'" + calibration.corpus + "'", vocabularies.front(),
                      std::min(longest, ensemble.longest_sentence()), false);
  DecodingOptions decoding;
  decoding.beam_size = 1;
  TranslatorSettings settings;
  settings.batch.mini_batch = 32;
  settings.batch.maxi_batch_sort = SortKind::source;
  LineReader lines(calibration.corpus);
  constexpr size_t window_lines = 3200;
  Translator(ensemble, backend, decoding, settings)
      .run(
          [&] {
            std::vector<Translator::Source> window;
            for (std::string line; window.size() < window_lines && lines.next(line);)
              window.emplace_back(encoder.encode(std::move(line), lines.line_number()));
            return window;
          },
          [](Translator::Result&&) {});
}

/// The multipliers of what parameters are multiplied by, of those that are in products.
std::map<std::string, float> input_multipliers(const ArrayFile& file, const Calibration& calibration) {
  const auto backend = make_cpu_backend(1);  // the sizes' sums are then in one order
  Model model = load_model(file, *backend, GemmPrecision::int8);
  const auto all_sizes = model.parameters->note_int8_inputs();
  translate(model, *backend, calibration, file.path());
  std::map<std::string, float> multipliers;
  for (const auto& [name, sizes] : all_sizes) {
    if (sizes->products == 0) continue;
    const double n = double(sizes->products), mean = sizes->sum / n,
                 deviation = std::sqrt(std::max(sizes->square_sum / n - mean * mean, 0.0)),
                 size = mean + 1.1 * deviation;
    check(std::isfinite(size), "calibrate: what {} is multiplied by is {} large, must be finite. {}", name, size,
          "The model has diverged in training");
    multipliers[name] = size > 0 ? float(127 / size) : 1;
  }
  check(!multipliers.empty(), "calibrate: '{}' has no words. Give some hundred lines of the source language",
        calibration.corpus);
  return multipliers;
}

/// Marian keeps the multiplier of an embedding's activations as an int8 array of one element, 127.
MarianArray multiplier_array(const std::string& array, float multiplier) {
  const std::string name = names::int8_multiplier(array);
  if (!array.ends_with(names::embedding)) return f32_array(name, {1, 1}, {multiplier});
  const float inverse = 127 / multiplier;
  return intgemm8_array(name, {1, 1}, {127 / inverse}, inverse);
}

/// In 8 bits; an output matrix of its own has its old name and order, in which Marian multiplies by it.
MarianArray int8_array(const ModelArray& array) {
  std::vector<float> values = array.values;
  const float multiplier = round_to_int8(values);
  if (array.name != names::output) return intgemm8_array(array.name, array.shape, values, multiplier);
  const size_t rows = size_t(array.shape[0]), columns = size_t(array.shape[1]);
  std::vector<float> turned(values.size());
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c) turned[c * rows + r] = values[r * columns + c];
  return intgemm8_array(names::old_output, {array.shape[1], array.shape[0]}, turned, multiplier);
}

}  // namespace

void export_int8(const std::string& output, const std::string& input, const ModelOptions& options,
                 const std::vector<ModelArray>& arrays, const Calibration& calibration) {
  std::map<std::string, float> multipliers;
  if (!calibration.corpus.empty()) multipliers = input_multipliers(ArraysInMemory(input, options, arrays), calibration);
  std::vector<MarianArray> out;
  for (const ModelArray& array : arrays) {
    const bool is_int8 = names::is_int8_matrix(array.name);
    out.push_back(is_int8 ? int8_array(array) : f32_array(array.name, array.shape, array.values));
    const auto multiplier = multipliers.find(array.name == names::old_output ? names::output : array.name);
    if (multiplier == multipliers.end()) continue;
    out.push_back(multiplier_array(out.back().name, multiplier->second));
    if (array.name.ends_with(names::embedding))
      out.push_back(f32_array(names::listed_int8_multiplier, {1, 1}, {multiplier->second}));
  }
  std::ranges::sort(out, {}, &MarianArray::name);
  out.push_back(text_array(model_yaml_array, model_yaml_bytes(options)));
  write_marian_binary(output, out);
}

}  // namespace bough
