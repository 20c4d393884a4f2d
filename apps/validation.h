#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/options.h"
#include "apps/training_model.h"
#include "apps/training_state.h"
#include "data/vocabulary.h"

namespace bough {

/// One metric's value after a validation.
struct MetricValue {
  Metric metric;
  std::string name;
  double value;
  bool is_better;  ///< than the best before, by more than early-stopping-epsilon
};

/// Validates the parameters in use on valid-sets: teacher-forced costs and, from one decoding that serves
/// all of them, text metrics.
class Validation {
 public:
  Validation(const TrainOptions& options, std::vector<std::shared_ptr<Vocabulary>> vocabularies,
             TrainingModel& model);
  ~Validation();

  /// Every metric in the order of valid-metrics; `state` gets new bests and stalls.
  std::vector<MetricValue> run(TrainingState& state);

 private:
  struct Costs {
    double sum = 0;
    int64_t labels = 0, sentences = 0;
  };
  Costs costs();
  const std::vector<std::string>& translations(const TrainingState& state);
  double value_of(Metric metric, const TrainingState& state);
  double script_value(const TrainingState& state);

  const TrainOptions& options_;
  std::vector<std::shared_ptr<Vocabulary>> vocabularies_;
  TrainingModel& model_;
  std::vector<std::string> references_;
  std::vector<std::vector<int32_t>> sources_, targets_;
  std::vector<std::string> hypotheses_;  // of the validation in progress
  bool is_decoded_ = false;
  Costs costs_;
  bool has_costs_ = false;
};

/// "ce-mean-words", ...: the metric's name in options, logs and file names.
std::string name_of(Metric metric);
/// Whether smaller values are better.
bool smaller_is_better(Metric metric);

}  // namespace bough
