#pragma once
#include <string>
#include <vector>

#include "apps/inference/machine_options.h"
#include "core/base/general_options.h"
#include "data/data_options.h"

namespace bough {

/// What stands in place of a line a pair.
enum class ScoreSummary { none, cross_entropy, ce_mean_words, ce_sum, perplexity };

/// Everything bough-score can be told when it scores with a model (marian-scorer).
struct ModelScorerOptions {
  GeneralOptions general;
  MachineOptions machine;
  std::vector<std::string> models = {"model.npz"};
  std::vector<double> weights;  ///< see Ensemble; empty: all 1
  std::string output = "stdout";
  bool n_best = false;
  std::string n_best_feature = "Score";
  bool normalize = false;
  ScoreSummary summary = ScoreSummary::none;
  bool word_scores = false;
  std::string alignment;  ///< see AlignmentFormat
  VocabularyOptions vocabulary;
  CorpusOptions corpus;  ///< train_sets: source and target, or source and n-best list, or fields of one file
  BatchOptions batch;

  ModelScorerOptions();
  void settings(Settings& v);
  void resolve(const GivenNames& given);
  void validate() const;
};

}  // namespace bough
