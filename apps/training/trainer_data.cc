// What a trainer reads: vocabularies, corpus and updates; of several ranks the first one alone where text can be read
// only once.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <exception>
#include <optional>
#include <utility>

#include "apps/training/memory_plan.h"
#include "apps/training/trainer.h"
#include "core/base/interrupt.h"
#include "core/base/log.h"
#include "core/base/signals.h"
#include "data/hash.h"

namespace bough {

void Trainer::open_vocabularies() {
  const char* const remedy =
      "give the same file twice, or tie neither by tied-embeddings-all nor by tied-embeddings-src";
  const auto& paths = options_.vocabulary.paths;
  if (options_.model.ties_source_and_target() && paths.size() == 2 && full_name(paths[0]) != full_name(paths[1]))
    check(file_exists(paths[0]) || file_exists(paths[1]),
          "vocabs: '{}' and '{}' would be made, one for each side, but shared embeddings need one vocabulary for both; "
          "{}",
          paths[0], paths[1], remedy);
  if (!ranks_.is_first()) ranks_.barrier();  // the first makes what is missing
  vocabularies_ =
      load_or_create_vocabularies(options_.vocabulary, options_.corpus,
                                  Checkpoint::begins_anew(options_.saving) ? std::string() : options_.saving.model);
  if (ranks_.is_first()) ranks_.barrier();
  options_.model.vocab_sizes.clear();
  for (const auto& vocabulary : vocabularies_) {
    options_.model.vocab_sizes.push_back(vocabulary->size());
    log::info("[data] vocabulary {}: {} entries", vocabulary->path(), with_commas(vocabulary->size()));
  }
  check(!options_.model.ties_source_and_target() ||
            options_.model.vocab_sizes.front() == options_.model.vocab_sizes.back(),
        "tied-embeddings: the vocabularies have {} and {} entries, but shared embeddings need one "
        "vocabulary for both sides; {}",
        options_.model.vocab_sizes.front(), options_.model.vocab_sizes.back(), remedy);
  check(!options_.model.ties_source_and_target() || vocabularies_.front()->hash() == vocabularies_.back()->hash(),
        "tied-embeddings: '{}' and '{}' hold different entries, but shared embeddings need one vocabulary for both "
        "sides; {}",
        vocabularies_.front()->path(), vocabularies_.back()->path(), remedy);
  const uint64_t before = checkpoint_state_ ? checkpoint_state_->vocabulary : 0;
  check(before == 0 || before == vocabulary_hash(),
        "vocabs: the entries are not those that '{}' was trained with. Restore the files, or start anew with no-reload",
        options_.saving.model);
}

/// Never 0.
uint64_t Trainer::vocabulary_hash() const {
  return std::max<uint64_t>(1, combine_hashes(vocabularies_.front()->hash(), vocabularies_.back()->hash()));
}

/// mini-batch-fit: the target tokens of an update that an earlier start has found for the same optimizer-delay; 0:
/// none.
int64_t Trainer::fitted_before() const {
  if (!checkpoint_state_) return 0;
  const TrainingState& before = *checkpoint_state_;
  const bool is_same = before.fitted_delay == 0 || before.fitted_delay == std::llround(options_.optimizer.delay);
  if (!is_same && before.loader.fitted_tokens > 0)
    log::warn("[data] optimizer-delay has changed: mini-batch-fit looks for the largest batch again");
  return is_same ? before.loader.fitted_tokens : 0;
}

void Trainer::open_data() {
  const int delay = std::max(1, int(std::lround(options_.optimizer.delay)));
  const bool goes_on = checkpoint_state_ && !options_.saving.no_restore_corpus;
  read_in_turn([&] {
    data_ = std::make_unique<TrainingData>(
        TrainingDataOptions{options_.vocabulary, options_.corpus, options_.batch,
                            UpdateShape{.devices = ranks_.size(), .delay = delay, .device = ranks_.rank()},
                            options_.general.seed, options_.model.right_left, deal_,
                            goes_on ? checkpoint_state_->loader.stream_pass() : 1},
        vocabularies_);
  });
  check_same_text();
  if (options_.batch.mini_batch_fit) {
    const MemoryPlan fitted = fit_memory(memory(), data_->statistics().length_ratio());
    data_->fit_budgets(least_of_ranks(fitted.target_rows), fitted_before());
    recomputed_layers_ = fitted.recomputed_layers;
  }
}

/// Calls work, which reads text: where only the first rank can, the others do so when they have what that one has read.
void Trainer::read_in_turn(const std::function<void()>& work) {
  if (!deal_) return work();
  if (ranks_.is_first()) work();
  deal_windows();
  if (!ranks_.is_first()) work();
}

/// What the first rank has read since is given to the others.
void Trainer::deal_windows() {
  std::deque<DealtWindow> windows;
  if (ranks_.is_first()) windows = deal_->take_all();
  size_t count = windows.size();
  ranks_.broadcast(&count, sizeof count);
  windows.resize(count);
  for (DealtWindow& window : windows) {
    ranks_.broadcast(&window.number, sizeof window.number);
    window.bytes = ranks_.broadcast(std::move(window.bytes));
    if (!ranks_.is_first()) deal_->put(std::move(window));
  }
}

/// The next update once the first rank has read what it needs. Nothing at the end of the text, and where some rank has
/// caught a signal or the first has failed: all are told while they wait.
UpdateBatches Trainer::next_dealt_batches() {
  constexpr std::chrono::milliseconds patience(100);
  std::optional<UpdateBatches> mine;
  std::exception_ptr failure;
  RankWord first;
  while (!first.has_batches && !first.has_failed) {
    try {
      if (ranks_.is_first()) mine = data_->next_within(patience);
    } catch (const Interrupted&) {  // a signal, of which all hear now
    } catch (const Error&) {
      failure = std::current_exception();
    }
    const std::vector<RankWord> words = ranks_.all_gather(RankWord{caught_signal(), mine.has_value(), bool(failure)});
    if (std::ranges::any_of(words, [](const RankWord& word) { return word.signal != 0; })) return {};
    first = words.front();
  }
  deal_windows();
  if (first.has_failed) keep_what_is_trained();
  if (failure) std::rethrow_exception(failure);
  if (first.has_failed) return {};
  return mine ? std::move(*mine) : data_->next();
}

/// Without sentences: the input has ended, or a signal the wait for it.
UpdateBatches Trainer::next_batches() {
  if (deal_) return next_dealt_batches();
  if (caught_signal() != 0) return {};
  try {
    return data_->next();
  } catch (const Interrupted&) {
    return {};
  } catch (const Error&) {
    if (ranks_.is_alone()) keep_what_is_trained();
    throw;
  }
}

/// Before an error ends the run: a bad line, say, late in a stream.
void Trainer::keep_what_is_trained() {
  finish_updates(0);
  if (state_.clock.updates > 0 && saved_ != state_.clock.updates) save();
}

}  // namespace bough
