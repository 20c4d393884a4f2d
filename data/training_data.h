#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/data_options.h"
#include "data/vocabulary.h"

namespace bough {

/// Where the loader stands: everything that next() depends on besides options and files. Kept in
/// the checkpoint; a resumed loader seeks there, whatever was consumed before.
struct LoaderState {
  int64_t epoch = 1;            ///< from 1, as Marian counts
  int64_t group = 0;            ///< shuffle window of the epoch
  int64_t position = 0;         ///< first unused pair in the window's order
  uint64_t used_ahead = 0;      ///< bit i: pair position + 1 + i is used already
  int64_t updates = 0;          ///< updates handed out
  int64_t target_tokens = 0;    ///< their target tokens
  int64_t epoch_sentences = 0;  ///< pairs handed out in this epoch
  double length_ratio = 0;  ///< source / target tokens of the corpus, fixed when training begins
  uint64_t corpus = 0;      ///< fingerprint of the encoded corpus; 0 for stdin
  bool operator==(const LoaderState&) const = default;
};

/// The data of one update: micro-batch i goes to rank i mod world size. The row_offset of each side
/// counts rows over all of them, so masks do not depend on how an update is cut.
struct UpdateBatches {
  std::vector<Batch> micro;  ///< empty: the input has ended (standard input only)
  int64_t source_tokens = 0, target_tokens = 0;  ///< incl. end of sentence
  int64_t sentences = 0;
  int64_t epoch = 1;                        ///< all sentences belong to this epoch
  bool ends_epoch = false;                  ///< no pair of the epoch is left
  double source_fill = 0, target_fill = 0;  ///< tokens / budget, 0..1; 0 without a budget
};

/// What the first pass over the corpus found.
struct CorpusStatistics {
  int64_t pairs = 0;                             ///< usable pairs
  int64_t source_tokens = 0, target_tokens = 0;  ///< incl. end of sentence
  int64_t dropped = 0, cropped = 0;              ///< pairs with a side longer than max-length
  int32_t longest_source = 0, longest_target = 0;
  double length_ratio() const {
    return target_tokens ? double(source_tokens) / double(target_tokens) : 1.0;
  }
};

/// Micro-batches of an update, and budgets that the caller chose (mini-batch-fit); 0 = by the
/// options.
struct UpdatePlan {
  int micro_batches = 1;      ///< optimizer-delay x devices
  int32_t source_budget = 0;  ///< tokens per micro-batch
  int32_t target_budget = 0;
  int32_t devices = 1;  ///< mini-batch-words and mini-batch are divided among them
};

/// The training corpus as an endless stream of updates, epoch after epoch, each pair once per
/// epoch. The first use of a corpus encodes it on data-threads threads into a token cache in
/// cache_folder; after that opening is instant. The stream is a pure function of files, options and
/// seed. Batches are made ahead on another thread; one caller.
class TrainingData {
 public:
  /// Throws Error for anything wrong with the files (which, where, what to do).
  TrainingData(const CorpusOptions& corpus, const BatchOptions& batch, const UpdatePlan& plan,
               std::vector<std::shared_ptr<Vocabulary>> vocabularies, uint64_t seed,
               const std::string& cache_folder);
  ~TrainingData();

  /// The next update. Blocks only when the consumer is faster than packing. Throws what went wrong
  /// while reading ahead.
  UpdateBatches next();

  /// The position after the update that next() returned last.
  LoaderState state() const;
  /// Continues where `state` was taken. Throws Error if the corpus is another one.
  void restore(const LoaderState& state);
  int64_t epoch() const;

  const CorpusStatistics& statistics() const;
  /// Tokens per micro-batch and side; 0 when batches are counted in sentences.
  int32_t source_budget() const;
  int32_t target_budget() const;
  /// No micro-batch has more rows on this side (for the memory plan), whatever the options.
  int32_t most_source_rows() const;
  int32_t most_target_rows() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bough
