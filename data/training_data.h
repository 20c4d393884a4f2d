#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data/data_options.h"
#include "data/update_builder.h"
#include "data/vocabulary.h"

namespace bough {

/// How an update is shared out.
struct UpdateShape {
  int devices = 1;  ///< mini-batch-words and mini-batch are divided among them
  int delay = 1;    ///< optimizer-delay: an update is devices * delay micro-batches
  int device = 0;   ///< whose micro-batches next() packs
};

/// Everything TrainingData is made from.
struct TrainingDataOptions {
  VocabularyOptions vocabulary;
  CorpusOptions corpus;
  BatchOptions batch;
  UpdateShape shape;
  uint64_t seed = 1;
  bool right_left = false;  ///< targets are reversed (the model's option)
  /// Of text that can be read only once, in a run of several processes; null: this one reads.
  std::shared_ptr<WindowDeal> deal = nullptr;
  /// Of standard input, which may be given again: the number of this pass through it, LoaderState::stream_pass() of the
  /// run that goes on.
  int64_t stream_pass = 1;
};

/// The training corpus as an endless stream of updates, epoch after epoch, each pair once per
/// epoch. The first use of a corpus encodes it on data-threads threads into a token cache in
/// tempdir; after that opening takes no time. The stream is a pure function of text, options and
/// seed; data-threads does not matter. Batches are made ahead on another thread; one caller at a
/// time.
class TrainingData {
 public:
  /// vocabularies: source, target. Throws Error for anything wrong with the files (which one,
  /// where, what to do), or if a token budget is smaller than the longest sentence, or mini-batch than the devices are.
  TrainingData(const TrainingDataOptions& options, std::vector<std::shared_ptr<Vocabulary>> vocabularies);
  ~TrainingData();

  /// The next update. Throws what went wrong while reading ahead, and Interrupted (core/base/interrupt.h) from a wait
  /// for standard input. Standard input ends with an update without micro-batches; files never end.
  UpdateBatches next();
  /// The same, or nothing where there is no update within so much time.
  std::optional<UpdateBatches> next_within(std::chrono::milliseconds time);

  /// The position behind the update that next() returned last.
  LoaderState state() const;
  /// Continues where `state` was taken. Standard input must bring the same lines from the first on,
  /// and next() must not have been called; where it had ended, it is a new pass, through whatever lines come. Throws
  /// Error if the corpus is another one.
  void restore(const LoaderState& state);
  /// Of a run that goes on with another corpus, from its first pair: its counts of updates and tokens, on which
  /// mini-batch-warmup depends. Before the first next().
  void keep_progress(const LoaderState& before);
  /// A hash of what the order of pairs depends on besides text and seed; never 0.
  uint64_t order() const;
  /// Of the update that next() returned last, from 1.
  int64_t epoch() const;
  /// Of the corpus; of standard input: of its first window.
  const CorpusStatistics& statistics() const;

  /// mini-batch-fit: the budgets of an update of `fitted` target tokens (LoaderState::fitted_tokens of the run that
  /// goes on; 0: as many as fit), cut into as many micro-batches of at most `most` as it takes; before the first
  /// next(). Throws Error if one is smaller than the longest sentence.
  void fit_budgets(int64_t most, int64_t fitted);
  /// Source tokens that go with so many target tokens: their number times the length ratio.
  int64_t source_budget_for(int64_t target_tokens) const;
  /// sentences, budgets and number of micro-batches in force.
  const BatchLimits& limits() const;
  /// No micro-batch has more rows than this, for the memory plan.
  int64_t most_source_rows() const;
  int64_t most_target_rows() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bough
