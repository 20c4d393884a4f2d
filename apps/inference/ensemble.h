#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/inference/model_file.h"
#include "core/base/special_ids.h"
#include "data/vocabulary.h"
#include "layers/transformer.h"

namespace bough {

/// The models that translate or score together, by reference, and the special ids of the vocabularies they share. One
/// model is an ensemble, too. The score of a word is sum_i weight_i log p_i(word): weights are 1 unless given and are
/// not normalised, as in Marian.
struct Ensemble {
  struct Member {
    Transformer* transformer = nullptr;
    double weight = 1;
  };
  std::vector<Member> members;  ///< at least one
  SpecialIds source, target;

  Ensemble() = default;
  Ensemble(Transformer& transformer, SpecialIds source_ids = {}, SpecialIds target_ids = {})
      : members{{&transformer, 1}}, source(source_ids), target(target_ids) {}

  bool right_left() const { return members.front().transformer->options().right_left; }
  int64_t target_vocabulary() const { return members.front().transformer->target_vocabulary(); }
  EndIds ends() const { return {source.end, target.end}; }
  /// Whether scores are the log-probabilities of the one model.
  bool is_one_model() const { return members.size() == 1 && members.front().weight == 1; }
  /// Longest sentence, end of sentence included, that all members have positions for (learned positions only).
  int64_t longest_sentence() const;
  /// Transformer::weights() of all members.
  std::vector<KeptWeight> weights(bool with_lists = false, bool memory_may_go = false) const;
  void end_training() const;  ///< no dropout
};

/// An ensemble, and the backend of the device that it lies on. Of several devices each has one with the same models.
struct EnsembleOnDevice {
  Ensemble ensemble;
  Backend* backend = nullptr;
};

std::vector<Backend*> backends_of(const std::vector<EnsembleOnDevice>& devices);

/// Models from files, and the vocabularies that they share.
struct LoadedEnsemble {
  std::vector<Model> models;
  std::vector<std::shared_ptr<Vocabulary>> vocabularies;  ///< source, target
  Ensemble ensemble;                                      ///< of `models`
};

/// weights: one a model, or none: all 1. Throws Error as load_model and load_model_vocabularies do, and where models do
/// not fit together: other sizes of vocabularies, another direction.
LoadedEnsemble load_ensemble(const std::vector<std::string>& paths, const std::vector<double>& weights,
                             const std::vector<std::string>& vocabulary_paths, Backend& backend,
                             GemmPrecision precision);

/// The same on each of several devices, of at least one.
struct LoadedEnsembles {
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<LoadedEnsemble> loaded;  ///< one a backend

  const Ensemble& ensemble() const { return loaded.front().ensemble; }
  const std::vector<std::shared_ptr<Vocabulary>>& vocabularies() const { return loaded.front().vocabularies; }
  std::vector<EnsembleOnDevice> on_devices() const;
};
LoadedEnsembles load_ensembles(const std::vector<std::string>& paths, const std::vector<double>& weights,
                               const std::vector<std::string>& vocabulary_paths,
                               std::vector<std::unique_ptr<Backend>> backends, GemmPrecision precision);

/// The option weights, of the programs that take several models.
void weights_setting(Settings& v, std::vector<double>& weights);

/// Error unless `option` names .npz or .bin files, at least one, and `weights` is empty or has one for each, not all of
/// them 0.
void check_models(const char* option, const std::vector<std::string>& models, const std::vector<double>& weights);

}  // namespace bough
