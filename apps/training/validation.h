#pragma once
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "apps/training/train_options.h"
#include "apps/training/training_model.h"
#include "apps/training/training_state.h"
#include "data/vocabulary.h"

namespace bough {

/// One metric's value after a validation.
struct MetricValue {
  std::string name;
  double value;
  bool is_better;  ///< than the best before, by more than early-stopping-epsilon
};

/// Validates the parameters in use on valid-sets: teacher-forced costs without dropout and label smoothing
/// and, from one decoding that serves all of them, text metrics.
class Validation {
 public:
  /// Reads valid-sets; sentences over valid-max-length are cut. Throws Error naming the file.
  Validation(const TrainOptions& options, std::vector<std::shared_ptr<Vocabulary>> vocabularies, TrainingModel& model);

  /// Batches of costs get at most so many tokens a side, ends included, but for single longer sentences: what the
  /// memory plan has room for.
  void limit_rows(int64_t source, int64_t target) { most_source_rows_ = source, most_target_rows_ = target; }

  /// Every metric in the order of valid-metrics; `state` gets new bests and stalls. Throws Interrupted, or Error when
  /// a script fails: `state` is then as before.
  std::vector<MetricValue> run(TrainingState& state);

 private:
  using Tokens = std::vector<int32_t>;
  struct Costs {
    double sum = 0;  ///< nats
    int64_t labels = 0, sentences = 0;
  };
  struct Decoded {
    std::vector<Tokens> tokens;
    std::vector<std::string> texts;
  };
  void read_files();
  std::vector<SentencePair> next_pairs(const std::vector<size_t>& order, size_t first) const;
  Costs costs() const;
  Decoded decode() const;
  double value_of(ValidationMetric metric, const TrainingState& state, const Costs& costs,
                  const Decoded& decoded) const;
  double bleu_of_pieces(const Decoded& decoded) const;
  double run_script(const std::string& argument) const;
  double translation_script(const TrainingState& state, const Decoded& decoded) const;
  double model_script(const TrainingState& state) const;
  bool note(MetricState& metric, ValidationMetric kind, double value, size_t index) const;

  const TrainOptions& options_;
  std::vector<std::shared_ptr<Vocabulary>> vocabularies_;
  TrainingModel& model_;
  int64_t most_source_rows_ = std::numeric_limits<int64_t>::max(), most_target_rows_ = most_source_rows_;
  std::vector<Tokens> sources_, targets_;
  std::vector<std::string> references_;
};

/// "ce-mean-words", ...: the metric's name in options, logs and file names.
std::string name_of(ValidationMetric metric);

}  // namespace bough
