#pragma once
#include <memory>
#include <string>

#include "apps/inference/machine_options.h"
#include "core/base/array_file.h"
#include "core/parameters.h"
#include "layers/transformer.h"

namespace bough {

/// A model ready to translate and score: options, parameters, and alpha_t in force.
struct Model {
  ModelOptions options;
  std::unique_ptr<ParameterSet> parameters;
  std::unique_ptr<Transformer> transformer;
};

/// Loads bough's or Marian's model file (an npz, or Marian's binary form, with special:model.yml) onto a backend,
/// without memory for gradients. Throws Error naming the file: missing, truncated, of neither form, no model of a
/// family that bough has, an array that is missing, superfluous, of another type or shape. In int8 on the CPU alone;
/// weights are then what a file of Marian's intgemm8 type holds, and those of any other file are rounded to it.
Model load_model(const std::string& path, Backend& backend, GemmPrecision precision = GemmPrecision::float32);
Model load_model(const ArrayFile& file, Backend& backend, GemmPrecision precision = GemmPrecision::float32);

/// special:model.yml of a model file.
ModelOptions read_model_options(const ArrayFile& file);

/// What says how large the arrays of a file must be, for messages: its own special:model.yml, or the options and
/// vocabularies of a run that begins with its parameters.
enum class ShapesBy { model_file, run };

/// Fills what this rank keeps of `parameters` from the arrays of a model file; values_changed() is the caller's.
/// Throws Error like load_model; before a value changes, unless an array's data is damaged.
void read_parameters(const ArrayFile& file, const ParameterSet& parameters, ShapesBy by = ShapesBy::model_file);

/// The same for the parts that the file has under their name; the others stay as they are. Returns how many
/// there were. Throws Error when one has another shape, or none is there.
int64_t read_matching_parameters(const ArrayFile& file, const ParameterSet& parameters);

/// Writes an arena (the parameters, or their average) as a model file, atomically. `options` with
/// branchnorm_progress of these parameters. Throws Error if it cannot be written.
void save_model(const std::string& path, const ModelOptions& options, const ParameterSet& parameters,
                const WholeArena& arena);

/// Rounds an array to whole multiples of 1 / q, of which none is larger than 127, and returns q: 127 / max |value|, 1
/// where all are 0, NaN where one is not finite (and then all are NaN).
float round_to_int8(std::vector<float>& values);

/// alpha of every residual site of a saved model, in forward order: of each layer self-attention, in the decoder
/// cross-attention, feed-forward. The only function that knows how a model file says it.
std::vector<double> saved_branch_scales(const ModelOptions& options);

/// UpdateState words with alpha of every residual site, for inference.
Tensor inference_state(const std::vector<double>& branch_scales, Backend& backend);

/// The bytes of special:model.yml: the text and one zero byte (Marian's form).
std::string model_yaml_bytes(const ModelOptions& options);
inline constexpr const char* model_yaml_array = "special:model.yml";
/// What an optimizer file has, and a model has not (apps/training/checkpoint.h).
inline constexpr const char* training_state_array = "special:state.yml";
/// Throws Error for an optimizer file.
void check_is_model(const ArrayFile& file);
/// Throws Error like load_model, but for damaged data: reads no values.
void check_arrays(const ArrayFile& file);

}  // namespace bough
