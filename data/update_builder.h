#pragma once
#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/corpus.h"
#include "data/data_options.h"

namespace bough {

/// Where the loader stands: everything that the next update depends on besides options and files.
/// Kept in the checkpoint; a resumed loader seeks there, whatever was consumed before.
struct LoaderState {
  int64_t epoch = 1;            ///< of the next update, from 1 as Marian counts
  int64_t window = 0;           ///< shuffle window of the epoch
  int64_t position = 0;         ///< first unused pair in the window's order
  uint64_t used_ahead = 0;      ///< bit i: pair position + 1 + i is used already
  int64_t updates = 0;          ///< updates handed out
  int64_t target_tokens = 0;    ///< their target tokens
  int64_t epoch_sentences = 0;  ///< pairs handed out in this epoch
  double length_ratio = 0;      ///< source / target tokens of the corpus when training began
  uint64_t corpus = 0;          ///< fingerprint of the encoded corpus (stdin: of the window)
  int64_t fitted_tokens = 0;    ///< mini-batch-fit: most target tokens of an update, from the start of training on
  bool operator==(const LoaderState&) const = default;
  /// Of standard input: the number of the pass that goes on from here. After its end, where there is no window, the
  /// next.
  int64_t stream_pass() const { return corpus == 0 ? epoch + 1 : epoch; }
};

/// The data of one update. The row_offset of each side counts rows over all of its micro-batches, so each
/// has masks of its own, on any number of ranks; all but `micro` is the same on every rank.
struct UpdateBatches {
  std::vector<Batch> micro;  ///< those of this rank, maybe none: i mod the number of ranks is its own
  int64_t source_tokens = 0, target_tokens = 0;  ///< incl. end of sentence
  int64_t sentences = 0;                         ///< 0: the input has ended (standard input only)
  int64_t epoch = 1;                             ///< all sentences belong to this epoch
  bool ends_epoch = false;                       ///< no pair of the epoch is left
  double source_fill = 0, target_fill = 0;       ///< tokens / budget in force, 0..1; 0 without a budget
};

/// How much goes into one micro-batch and how many into an update.
struct BatchLimits {
  int micro_batches = 1;                         ///< of all ranks
  int rank = 0, ranks = 1;                       ///< whose micro-batches are packed
  int64_t sentences = 0;                         ///< used when there are no token budgets
  int64_t source_tokens = 0, target_tokens = 0;  ///< 0 = no budgets
  SchedulePeriod warmup;                         ///< limits grow linearly to full size

  /// Whether token budgets, not sentences, limit a micro-batch.
  bool counts_tokens() const { return target_tokens > 0; }
};

/// Cuts the stream of pairs into updates. A pair that does not fit into what is left of the budgets
/// is passed over for the next one that does, within the 64 that follow the first unused; so a
/// batch is nearly full, and two integers say which pairs are used.
class UpdateBuilder {
 public:
  /// The corpus must outlive the object.
  UpdateBuilder(Corpus& corpus, const OrderRules& order, const BatchLimits& limits);

  /// The next update; moves `state` behind it. Within one epoch; the last of an epoch may be small.
  UpdateBatches next(LoaderState& state);

 private:
  struct Selection;
  bool enter_window(const LoaderState& state);
  void select(LoaderState& state, const BatchLimits& limits, Selection& selection);
  void select_in_window(LoaderState& state, Selection& selection) const;
  void finish_epoch_if_done(LoaderState& state, UpdateBatches& update);
  BatchLimits limits_at(const LoaderState& state) const;

  Corpus& corpus_;
  OrderRules order_;
  BatchLimits limits_;
  CorpusWindow window_;
  int64_t window_epoch_ = 0, window_number_ = -1;
};

}  // namespace bough
