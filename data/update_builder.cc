#include "data/update_builder.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/base/error.h"

namespace bough {
namespace {

constexpr int64_t look_ahead = 64;  // bits of LoaderState::used_ahead

bool is_used(const LoaderState& state, int64_t position) {
  const int64_t ahead = position - state.position - 1;
  if (ahead < 0) return position < state.position;
  return (state.used_ahead >> ahead & 1) != 0;
}

void use(LoaderState& state, int64_t position) {
  if (position > state.position) {
    state.used_ahead |= uint64_t{1} << (position - state.position - 1);
    return;
  }
  bool next_is_used = true;
  while (next_is_used) {
    ++state.position;
    next_is_used = (state.used_ahead & 1) != 0;
    state.used_ahead >>= 1;
  }
}

double fill(int64_t tokens, int64_t budget, int batches) {
  return budget > 0 && batches > 0 ? double(tokens) / (double(budget) * double(batches)) : 0.0;
}

/// Appends a micro-batch, packed where it `is_mine`. Rows over the whole update are numbered in 32 bits
/// (core/base/random.h).
void add_micro_batch(UpdateBatches& update, const std::vector<SentencePair>& pairs, EndIds ends, bool is_mine) {
  if (is_mine) {
    Batch& batch = update.micro.emplace_back(pack(pairs, ends));
    batch.source.row_offset = int32_t(update.source_tokens);
    batch.target.row_offset = int32_t(update.target_tokens);
  }
  for (const SentencePair& pair : pairs) {
    update.source_tokens += int64_t(pair.source.size()) + 1;
    update.target_tokens += int64_t(pair.target.size()) + 1;
  }
  update.sentences += int64_t(pairs.size());
  check(std::max(update.source_tokens, update.target_tokens) <= INT32_MAX,
        "an update has more than 2^31 tokens. Lower optimizer-delay or mini-batch-words.");
}

}  // namespace

/// The pairs of a micro-batch while it grows.
struct UpdateBuilder::Selection {
  int64_t sentences_left = INT64_MAX, source_left = INT64_MAX, target_left = INT64_MAX;
  std::vector<SentencePair> pairs;
  std::vector<std::shared_ptr<const TokenCache>> caches;  // keep what `pairs` point into

  bool is_full() const { return sentences_left == 0 || source_left == 0 || target_left == 0; }
  bool take(const SentencePair& pair) {
    const auto source = int64_t(pair.source.size()) + 1;
    const auto target = int64_t(pair.target.size()) + 1;
    if (sentences_left < 1 || source > source_left || target > target_left) return false;
    --sentences_left;
    source_left -= source;
    target_left -= target;
    pairs.push_back(pair);
    return true;
  }
};

UpdateBuilder::UpdateBuilder(Corpus& corpus, const OrderRules& order, const BatchLimits& limits)
    : corpus_(corpus), order_(order), limits_(limits) {}

bool UpdateBuilder::enter_window(const LoaderState& state) {
  if (state.epoch != window_epoch_ || state.window != window_number_) {
    window_ = corpus_.window(order_, state.epoch, state.window);
    window_epoch_ = state.epoch;
    window_number_ = state.window;
  }
  return window_.cache != nullptr;
}

void UpdateBuilder::select_in_window(LoaderState& state, Selection& selection) const {
  const auto size = int64_t(window_.order.size());
  for (int64_t at = state.position; at < size && at <= state.position + look_ahead; ++at) {
    if (selection.is_full()) return;
    if (is_used(state, at)) continue;
    if (selection.take(window_.cache->pair(window_.order[size_t(at)]))) use(state, at);
  }
}

void UpdateBuilder::select(LoaderState& state, const BatchLimits& limits, Selection& selection) {
  if (limits.counts_tokens()) {
    selection.source_left = limits.source_tokens;
    selection.target_left = limits.target_tokens;
  } else {
    selection.sentences_left = limits.sentences;
  }
  while (enter_window(state)) {
    selection.caches.push_back(window_.cache);
    select_in_window(state, selection);
    if (state.position < int64_t(window_.order.size())) return;
    if (selection.is_full()) return;
    ++state.window;
    state.position = 0;
    state.used_ahead = 0;
  }
}

/// Looks past exhausted windows, so that the last update of an epoch is known as such.
void UpdateBuilder::finish_epoch_if_done(LoaderState& state, UpdateBatches& update) {
  while (enter_window(state)) {
    if (state.position < int64_t(window_.order.size())) return;
    ++state.window;
    state.position = 0;
    state.used_ahead = 0;
  }
  update.ends_epoch = true;
  if (corpus_.is_stream()) return;  // it stays at its end: there is no second pass
  ++state.epoch;
  state.window = 0;
  state.epoch_sentences = 0;
}

BatchLimits UpdateBuilder::limits_at(const LoaderState& state) const {
  BatchLimits limits = limits_;
  if (!limits.warmup) return limits;
  const bool in_updates = limits.warmup.unit == ScheduleUnit::updates;
  const int64_t done = in_updates ? state.updates + 1 : state.target_tokens;
  const double scale = std::min(1.0, double(done) / double(limits.warmup.count));
  const auto shrink = [scale](int64_t& limit, int64_t least) {
    limit = std::min(limit, std::max(least, int64_t(std::ceil(double(limit) * scale))));
  };
  // A budget below the longest sentence would never let it through.
  shrink(limits.sentences, 1);
  shrink(limits.source_tokens, corpus_.longest_source());
  shrink(limits.target_tokens, corpus_.longest_target());
  return limits;
}

UpdateBatches UpdateBuilder::next(LoaderState& state) {
  const BatchLimits limits = limits_at(state);
  UpdateBatches update;
  update.epoch = state.epoch;
  int made = 0;
  for (; made < limits.micro_batches; ++made) {
    Selection selection;
    select(state, limits, selection);
    if (selection.pairs.empty()) break;
    add_micro_batch(update, selection.pairs, corpus_.ends(), made % limits.ranks == limits.rank);
  }
  update.source_fill = fill(update.source_tokens, limits.source_tokens, made);
  update.target_fill = fill(update.target_tokens, limits.target_tokens, made);
  if (made == 0) {
    check(corpus_.is_stream(), "training data: no pair fits into a batch, a defect of bough; please report");
    update.ends_epoch = true;
    return update;
  }
  ++state.updates;
  state.target_tokens += update.target_tokens;
  state.epoch_sentences += update.sentences;
  finish_epoch_if_done(state, update);
  state.corpus = corpus_.fingerprint();
  return update;
}

}  // namespace bough
