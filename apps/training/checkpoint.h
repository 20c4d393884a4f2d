#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/inference/decoding_options.h"
#include "apps/training/saving_options.h"
#include "apps/training/training_model.h"
#include "apps/training/training_state.h"

namespace bough {

/// What a run says of itself in the files beside its model.
struct RunDescription {
  std::string settings;  ///< all of them in force, as YAML: MODEL.yml
  // What MODEL.decoder.yml says besides the model:
  std::vector<std::string> vocabularies;
  bool relative_paths = false;
  DecodingOptions decoding;
  int decoding_batch = 0;  ///< sentences
};

/// Saves and resumes a training run. Files, names and arrays are Marian's (docs/file_formats.md):
///   MODEL.optimizer.npz   the resume state, alone: raw parameters, moments, average, clock, loader.
///                         Its rename is the moment at which a save has happened.
///   MODEL, MODEL.yml, MODEL.decoder.yml, MODEL.progress.yml, model.iterN.npz   derived from it
/// All ranks save and resume alike, but save_best; the first one writes.
class Checkpoint {
 public:
  Checkpoint(const SavingOptions& options, RunDescription run, TrainingModel& model)
      : options_(options), run_(std::move(run)), model_(model) {}

  /// Writes everything. Throws Error when a file cannot be written: what was saved before stays whole.
  void save(const TrainingState& state);
  /// Writes the derived files only: after a resume, in case the run was killed between the two.
  void save_derived(const TrainingState& state);
  /// Keeps the parameters in use (keep-best): model.npz.best-METRIC.npz.
  void save_best(const TrainingState& state, const std::string& metric, const WholeArena& parameters) {
    save_parameters(state, options_.model + ".best-" + metric + ".npz", parameters);
  }

  /// The state of an earlier run of this model, if there is one and options allow; parameters and
  /// optimizer are then as they were. Without, and with a model file: its parameters only. Writes nothing.
  std::optional<TrainingState> resume();

  /// Whether resume() would start from initial parameters, or from a pretrained model's.
  static bool begins_anew(const SavingOptions& options);
  /// The state of the run that resume() would go on with; none when it would start anew.
  static std::optional<TrainingState> saved_state(const SavingOptions& options);
  /// Before a run's options are resolved: what was not `given` becomes what the model was made with that resume()
  /// would go on with, if there is one, so that a checkpoint outlives changed defaults.
  static void take_saved_options(const SavingOptions& saving, const GivenNames& given, ModelOptions& model,
                                 int& max_length);

  /// Saves the parameters in force (not the average) with what decoding needs, as `path`.
  void save_parameters(const TrainingState& state, const std::string& path, const WholeArena& arena);

 private:
  struct StateArena;
  std::vector<StateArena> state_arenas() const;
  void save_optimizer(const TrainingState& state, const std::string& path);
  void write_optimizer(const TrainingState& state, const std::string& path);
  TrainingState load_optimizer(const std::string& path);
  void load_parameters(const std::string& path);
  Yaml decoder_settings(const std::string& model_path) const;

  const SavingOptions options_;
  const RunDescription run_;
  TrainingModel& model_;
};

}  // namespace bough
