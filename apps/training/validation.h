#pragma once
#include <array>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "apps/inference/decoding_options.h"
#include "apps/training/training_model.h"
#include "apps/training/training_state.h"
#include "apps/training/validation_options.h"
#include "core/communicator.h"
#include "data/vocabulary.h"

namespace bough {

/// What a validation is to do, and how the set is read and decoded.
struct ValidationSettings {
  ValidationOptions options;
  DecodingOptions decoding;
  bool tsv = false;   ///< valid-sets is one file of tab-separated fields: as in training, or the text alone
  size_t fields = 2;  ///< in training
  std::array<size_t, 2> text_fields = {0, 1};  ///< of them, source and target
  bool no_spm_encode = false;                  ///< its text is pieces already
  std::string model;                           ///< files for scripts stand beside this one
  int workers = 1;                             ///< threads that decode, on the CPU
  /// Throws Error where the run reads a file of this name, or writes something else there.
  std::function<void(const std::string&)> check_output = [](const std::string&) {};
};

/// One metric's value after a validation.
struct MetricValue {
  std::string name;
  double value;
  bool is_best;    ///< of all so far
  bool is_better;  ///< than the best before, by more than early-stopping-epsilon
};

/// Validates the parameters in use on valid-sets: teacher-forced costs without dropout and label smoothing
/// and, from one decoding that serves all of them, text metrics. Each of several ranks computes a part of both; the
/// first one joins the parts, scores and writes.
class Validation {
 public:
  /// Reads valid-sets; sentences over valid-max-length are cut. Throws Error naming the file.
  Validation(ValidationSettings settings, std::vector<std::shared_ptr<Vocabulary>> vocabularies, TrainingModel& model,
             Communicator& ranks = one_process());

  /// Batches of costs get at most so many tokens a side, ends included, but for single longer sentences: what the
  /// memory plan has room for.
  void limit_rows(int64_t source, int64_t target) { most_source_rows_ = source, most_target_rows_ = target; }

  /// Whether a metric is given the model's file.
  bool needs_parameters() const { return any_needs(&ValidationMetric::needs_parameters); }
  /// Every metric in the order of valid-metrics; `state` gets new bests and stalls. On other ranks than the first
  /// nothing, and `state` stays. All call alike; `parameters`: those in use, on the first rank, where a metric needs
  /// them. Throws Interrupted (where another rank has ended early, too), or Error when a script fails: `state` is then
  /// as before.
  std::vector<MetricValue> run(TrainingState& state, const WholeArena& parameters);

 private:
  using Tokens = std::vector<int32_t>;
  struct Decoded {
    std::vector<Tokens> tokens;
    std::vector<std::string> texts;
  };
  /// What this rank has computed.
  struct Share {
    std::vector<double> batch_costs;   ///< of all batches; of those of other ranks 0
    std::vector<Tokens> translations;  ///< of its sentences, in their order
  };
  void read_files();
  std::pair<std::string, std::string> text_of_fields(const std::string& line, int64_t number) const;
  std::vector<SentencePair> next_pairs(const std::vector<size_t>& order, size_t first) const;
  bool any_needs(bool (ValidationMetric::*what)() const) const;
  bool is_mine(size_t number) const;
  Share compute_share() const;
  std::vector<double> batch_costs() const;
  std::vector<Tokens> translate() const;
  void log_best(size_t sentence, const Tokens& tokens) const;
  ValidationCosts join_costs(const Share& share) const;
  Decoded join_translations(const Share& share) const;
  double value_of(const ValidationMetric& metric, const TrainingState& state, const ValidationCosts& costs,
                  const Decoded& decoded, const WholeArena& parameters) const;
  double score_of_text(const MetricKind& kind, const Decoded& decoded) const;
  double score_of_pieces(const MetricKind& kind, const Decoded& decoded) const;
  double run_script(const std::string& argument) const;
  std::string translation_output(const TrainingState& state) const;
  static void write_translations(const Decoded& decoded, const std::string& path);
  double translation_script(const TrainingState& state, const Decoded& decoded) const;
  double model_script(const TrainingState& state, const WholeArena& parameters) const;
  void note(MetricState& metric, const ValidationMetric& kind, MetricValue& found, size_t index) const;

  const ValidationSettings settings_;
  const ValidationOptions& options_ = settings_.options;
  std::vector<std::shared_ptr<Vocabulary>> vocabularies_;
  TrainingModel& model_;
  Communicator& ranks_;
  int64_t most_source_rows_ = std::numeric_limits<int64_t>::max(), most_target_rows_ = most_source_rows_;
  std::vector<Tokens> sources_, targets_;
  std::vector<std::string> references_;
};

}  // namespace bough
