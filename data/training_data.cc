#include "data/training_data.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/rounding.h"
#include "data/hash.h"

namespace bough {
namespace {

/// An update and the position behind it.
struct Ready {
  UpdateBatches update;
  LoaderState after;
};

/// Makes updates on a thread of its own: two ahead, more while they are small.
class Prefetcher {
 public:
  Prefetcher(Corpus& corpus, UpdateBuilder builder, const LoaderState& from)
      : corpus_(corpus), builder_(std::move(builder)), state_(from), thread_([this] { run(); }) {}
  ~Prefetcher() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    corpus_.stop_encoding();
    thread_.join();
    corpus_.allow_encoding();
  }

  /// Whether next() need not wait, within so much time.
  bool wait(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [this] { return !ready_.empty() || failure_ != nullptr; });
  }

  Ready next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !ready_.empty() || failure_ != nullptr; });
    if (ready_.empty()) std::rethrow_exception(failure_);
    Ready first = std::move(ready_.front());
    // The end of a stream stays there to be asked for again.
    if (first.update.sentences > 0) ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return first;
  }

 private:
  static constexpr size_t most_batches_ahead = 8;

  void run() {
    try {
      while (wait_for_room()) {
        Ready made{builder_.next(state_), state_};
        made.after = state_;
        const bool ended = made.update.sentences == 0;
        {
          std::lock_guard lock(mutex_);
          ready_.push_back(std::move(made));
        }
        changed_.notify_all();
        if (ended) return;
      }
    } catch (...) {
      std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      changed_.notify_all();
    }
  }
  bool has_room() const {
    size_t batches = 0;
    for (const Ready& ready : ready_) batches += ready.update.micro.size();
    return ready_.size() < 2 || batches < most_batches_ahead;
  }
  bool wait_for_room() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || has_room(); });
    return !stopping_;
  }

  Corpus& corpus_;
  UpdateBuilder builder_;
  LoaderState state_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Ready> ready_;
  std::exception_ptr failure_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the members above
};

EncodingRules encoding_rules(const TrainingDataOptions& options,
                             std::vector<std::shared_ptr<Vocabulary>> vocabularies) {
  check(vocabularies.size() == 2, "training data: {} vocabularies, must be 2: source, target.", vocabularies.size());
  return {std::move(vocabularies),
          options.vocabulary.no_spm_encode,
          options.right_left,
          options.corpus,
          options.seed,
          options.vocabulary.data_threads,
          options.deal,
          options.stream_pass};
}

}  // namespace

struct TrainingData::Impl {
  Impl(const TrainingDataOptions& given, std::vector<std::shared_ptr<Vocabulary>> vocabularies)
      : options(given), corpus(encoding_rules(given, std::move(vocabularies))) {
    state.length_ratio = corpus.statistics().length_ratio();
    state.corpus = corpus.fingerprint();
    limits.micro_batches = options.shape.devices * options.shape.delay;
    limits.rank = options.shape.device;
    limits.ranks = options.shape.devices;
    limits.sentences = divide_up(options.batch.mini_batch, options.shape.devices);
    limits.warmup = options.batch.mini_batch_warmup;
    check_shares();
    if (options.batch.mini_batch_words > 0 && !options.batch.mini_batch_fit) set_word_budget();
  }

  ~Impl() { corpus.stop(); }  // the thread that reads ahead may be waiting for standard input

  void check_shares() const {
    const bool counts_sentences = options.batch.mini_batch_words == 0 && !options.batch.mini_batch_fit;
    check(!counts_sentences || options.batch.mini_batch >= options.shape.devices,
          "mini-batch: {} sentences an update cannot be shared by {} devices; raise it, or use fewer devices",
          options.batch.mini_batch, options.shape.devices);
  }
  void set_word_budget() {
    const int64_t target = divide_up(options.batch.mini_batch_words, options.shape.devices);
    set_budgets(source_budget_for(target), target, "mini-batch-words");
  }
  void fit_budgets(int64_t most, int64_t fitted) {
    const int64_t update = fitted > 0 ? fitted : most * limits.micro_batches;
    const int64_t devices = options.shape.devices;
    limits.micro_batches = int(devices * divide_up(update, devices * most));
    const int64_t target = divide_up(update, limits.micro_batches);
    set_budgets(source_budget_for(target), target, "mini-batch-fit");
    state.fitted_tokens = update;
  }
  int64_t source_budget_for(int64_t target) const {
    // Rounded up, and never so low that a sentence of the corpus could not be used at all.
    const auto scaled = int64_t(std::ceil(double(target) * state.length_ratio));
    return std::max(scaled, corpus.longest_source());
  }
  void set_budgets(int64_t source, int64_t target, const char* option) {
    const auto require = [&](int64_t budget, int64_t longest, const char* side) {
      check(budget >= longest,
            "{}: {} {} tokens a batch are fewer than the longest sentence {} ({}). Raise it or lower "
            "max-length.",
            option, budget, side, corpus.has_bounded_lengths() ? "may have, max-length" : "has", longest);
    };
    require(source, corpus.longest_source(), "source");
    require(target, corpus.longest_target(), "target");
    limits.source_tokens = source;
    limits.target_tokens = target;
  }

  /// A stream that had come to its end is given again, or another one: a pass of its own from the first line on.
  void begin_pass(const LoaderState& ended) {
    const uint64_t first_window = state.corpus;
    const int64_t fitted = state.fitted_tokens;
    state = ended;
    state.fitted_tokens = fitted;
    ++state.epoch;
    state.window = state.position = 0;
    state.used_ahead = 0;
    state.epoch_sentences = 0;
    state.corpus = first_window;
    epoch = state.epoch;
    log::info("[data] the lines of standard input had all been used; these are pass {} through it", epoch);
    if (limits.counts_tokens() && !options.batch.mini_batch_fit) set_word_budget();
  }

  /// A batch ends with its epoch: it has no more tokens than the corpus, where that is known and segmented in one way.
  int64_t most_rows(int64_t budget, int64_t CorpusStatistics::*tokens) const {
    const bool is_known = !corpus.is_stream() && options.corpus.sentencepiece_alphas.empty();
    return is_known ? std::min(budget, corpus.statistics().*tokens) : budget;
  }

  OrderRules order_rules() const {
    const auto& batch = options.batch;
    const auto& found = corpus.statistics();
    const double target_length = double(found.target_tokens) / double(found.pairs);
    const int64_t run = limits.counts_tokens()
                            ? std::max<int64_t>(1, std::llround(double(limits.target_tokens) / target_length))
                            : limits.sentences;
    return {options.corpus.shuffle, batch.maxi_batch_sort, run, run * batch.maxi_batch, options.seed};
  }
  Prefetcher& started() {
    if (!prefetcher)
      prefetcher = std::make_unique<Prefetcher>(corpus, UpdateBuilder(corpus, order_rules(), limits), state);
    return *prefetcher;
  }

  TrainingDataOptions options;
  Corpus corpus;
  BatchLimits limits;
  LoaderState state;
  int64_t epoch = 1;
  std::unique_ptr<Prefetcher> prefetcher;  // last: its thread uses the members above
};

TrainingData::TrainingData(const TrainingDataOptions& options, std::vector<std::shared_ptr<Vocabulary>> vocabularies)
    : impl_(std::make_unique<Impl>(options, std::move(vocabularies))) {}
TrainingData::~TrainingData() = default;

UpdateBatches TrainingData::next() {
  Ready ready = impl_->started().next();
  impl_->state = ready.after;
  impl_->epoch = ready.update.epoch;
  return std::move(ready.update);
}

std::optional<UpdateBatches> TrainingData::next_within(std::chrono::milliseconds time) {
  if (!impl_->started().wait(time)) return std::nullopt;
  return next();
}

void TrainingData::keep_progress(const LoaderState& before) {
  impl_->state.updates = before.updates;
  impl_->state.target_tokens = before.target_tokens;
}

uint64_t TrainingData::order() const {
  const OrderRules rules = impl_->order_rules();
  uint64_t hash = 1 + uint64_t(rules.shuffle);
  if (rules.shuffle == ShuffleKind::batches) hash = combine_hashes(hash, uint64_t(rules.run_pairs));
  if (rules.sort == SortKind::none) return hash;
  return combine_hashes(combine_hashes(hash, uint64_t(rules.sort)), uint64_t(rules.sort_pairs));
}

LoaderState TrainingData::state() const { return impl_->state; }
int64_t TrainingData::epoch() const { return impl_->epoch; }
const CorpusStatistics& TrainingData::statistics() const { return impl_->corpus.statistics(); }
const BatchLimits& TrainingData::limits() const { return impl_->limits; }

void TrainingData::restore(const LoaderState& state) {
  auto& corpus = impl_->corpus;
  check(!corpus.is_stream() || !impl_->prefetcher,
        "stdin: a stream cannot go back after reading began, a defect of bough; please report");
  impl_->prefetcher.reset();
  if (corpus.is_stream()) {
    check(corpus.stream_pass() == state.stream_pass(),
          "stdin: pass {} goes on with one that was begun as pass {}, a defect of bough; please report",
          state.stream_pass(), corpus.stream_pass());
    if (state.corpus == 0) return impl_->begin_pass(state);
    if (state.window > 0) corpus.seek_stream(state.window);
  }
  check(state.corpus == corpus.fingerprint(),
        "train-sets: not the text that this model was trained on so far, or other vocabularies, "
        "max-length, sentencepiece-alphas, guided-alignment or data-weighting. Restore them, or set no-restore-corpus "
        "to start the corpus anew.");
  const int64_t fitted = impl_->state.fitted_tokens;
  impl_->state = state;
  impl_->state.fitted_tokens = fitted;
  impl_->epoch = state.epoch;
  if (impl_->limits.counts_tokens() && !impl_->options.batch.mini_batch_fit) impl_->set_word_budget();
}

void TrainingData::fit_budgets(int64_t most, int64_t fitted) {
  check(!impl_->prefetcher, "training data: budgets are fixed once batches are made");
  impl_->fit_budgets(most, fitted);
}
int64_t TrainingData::source_budget_for(int64_t target_tokens) const { return impl_->source_budget_for(target_tokens); }

int64_t TrainingData::most_source_rows() const {
  const auto& limits = impl_->limits;
  return limits.counts_tokens() ? impl_->most_rows(limits.source_tokens, &CorpusStatistics::source_tokens)
                                : impl_->corpus.most_source_rows(limits.sentences);
}
int64_t TrainingData::most_target_rows() const {
  const auto& limits = impl_->limits;
  return limits.counts_tokens() ? impl_->most_rows(limits.target_tokens, &CorpusStatistics::target_tokens)
                                : impl_->corpus.most_target_rows(limits.sentences);
}

}  // namespace bough
