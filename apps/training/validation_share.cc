// What a validation computes: every rank its part, joined in the order of the set.
#include <algorithm>
#include <cstring>
#include <exception>
#include <numeric>
#include <utility>

#include "apps/inference/translator.h"
#include "apps/training/validation.h"
#include "core/base/interrupt.h"
#include "core/base/log.h"
#include "core/base/progress.h"

namespace bough {
namespace {

using Tokens = std::vector<int32_t>;

/// Of each sentence its length and its tokens, as words of memory.
std::string flatten(const std::vector<Tokens>& sentences) {
  std::string bytes;
  const auto append = [&](const int32_t* words, size_t count) {
    bytes.append(reinterpret_cast<const char*>(words), count * sizeof *words);
  };
  for (const Tokens& tokens : sentences) {
    const auto length = int32_t(tokens.size());
    append(&length, 1);
    append(tokens.data(), tokens.size());
  }
  return bytes;
}

/// Reads what flatten() has written, sentence by sentence.
class FlatSentences {
 public:
  explicit FlatSentences(std::string bytes) : bytes_(std::move(bytes)) {}
  Tokens next() {
    int32_t length = 0;
    take(&length, 1);
    auto tokens = Tokens(size_t(length));
    take(tokens.data(), tokens.size());
    return tokens;
  }

 private:
  void take(int32_t* words, size_t count) {
    std::memcpy(words, bytes_.data() + at_, count * sizeof *words);
    at_ += count * sizeof *words;
  }

  std::string bytes_;
  size_t at_ = 0;
};

}  // namespace

bool Validation::any_needs(bool (ValidationMetric::*what)() const) const {
  return std::ranges::any_of(options_.metrics, what);
}

/// Batches and sentences are dealt out one by one.
bool Validation::is_mine(size_t number) const { return int(number % size_t(ranks_.size())) == ranks_.rank(); }

/// Throws what goes wrong here, once all ranks have come to their end; Interrupted where that was so on another one.
Validation::Share Validation::compute_share() const {
  Share share;
  std::exception_ptr failure;
  try {
    if (any_needs(&ValidationMetric::needs_costs)) share.batch_costs = batch_costs();
    if (any_needs(&ValidationMetric::needs_translations)) share.translations = translate();
  } catch (const std::exception&) {
    failure = std::current_exception();
  }
  const std::vector<int> failed = ranks_.all_gather(int(failure != nullptr));
  if (failure) std::rethrow_exception(failure);
  if (std::ranges::count(failed, 1) > 0) throw Interrupted();
  return share;
}

/// The pairs of the batch that begins at order[first]; at least one.
std::vector<SentencePair> Validation::next_pairs(const std::vector<size_t>& order, size_t first) const {
  std::vector<SentencePair> pairs;
  int64_t source_rows = 0, target_rows = 0;
  const size_t end = std::min(first + size_t(options_.mini_batch), order.size());
  for (size_t at = first; at < end; ++at) {
    const size_t i = order[at];
    source_rows += int64_t(sources_[i].size()) + 1;
    target_rows += int64_t(targets_[i].size()) + 1;
    if (!pairs.empty() && (source_rows > most_source_rows_ || target_rows > most_target_rows_)) break;
    pairs.push_back({sources_[i], targets_[i], int64_t(i)});
  }
  return pairs;
}

std::vector<double> Validation::batch_costs() const {
  std::vector<double> costs;
  std::vector<size_t> order(sources_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return targets_[a].size() < targets_[b].size(); });
  const EndIds ends{vocabularies_.front()->special().end, vocabularies_.back()->special().end};
  for (size_t first = 0; first < order.size();) {
    stop_if_interrupted();
    const std::vector<SentencePair> pairs = next_pairs(order, first);
    first += pairs.size();
    costs.push_back(is_mine(costs.size()) ? model_.evaluate(pack(pairs, ends)) : 0.0);
  }
  return costs;
}

/// Batches are summed in their order, whoever has computed them: the bits of one process.
ValidationCosts Validation::join_costs(const Share& share) const {
  std::vector<double> sums = share.batch_costs;
  ranks_.add_up(sums);
  ValidationCosts costs{.sum = std::accumulate(sums.begin(), sums.end(), 0.0), .sentences = int64_t(targets_.size())};
  for (const Tokens& target : targets_) costs.labels += int64_t(target.size()) + 1;
  return costs;
}

std::vector<Validation::Tokens> Validation::translate() const {
  TranslatorSettings settings;
  settings.batch.mini_batch = options_.mini_batch;
  settings.batch.mini_batch_words = 0;
  settings.batch.maxi_batch_sort = SortKind::source;
  settings.workers = settings_.workers;
  model_.transformer().set_training(false);
  const Ensemble ensemble(model_.transformer(), vocabularies_.front()->special(), vocabularies_.back()->special());
  Translator translator(ensemble, model_.backend(), settings_.decoding, settings);
  std::vector<Translator::Source> mine;
  for (size_t i = 0; i < sources_.size(); ++i)
    if (is_mine(i)) mine.emplace_back(sources_[i]);
  Progress progress("validation decoding", int64_t(mine.size()));
  std::vector<Tokens> translations;
  translator.run(
      [&] { return std::exchange(mine, {}); },
      [&](Translator::Result&& result) {
        Tokens tokens = result.empty() ? Tokens() : std::move(result.front().tokens);
        translations.push_back(in_reading_order(std::move(tokens), model_.transformer().options().right_left));
        if (ranks_.is_alone()) log_best(translations.size() - 1, translations.back());  // as they come
        progress.advance_to(int64_t(translations.size()));
      });
  return translations;
}

void Validation::log_best(size_t sentence, const Tokens& tokens) const {
  if (settings_.decoding.quiet_translation) return;
  log::info("Best translation {} : {}", sentence, vocabularies_.back()->decode(tokens));
}

Validation::Decoded Validation::join_translations(const Share& share) const {
  Decoded decoded;
  if (!any_needs(&ValidationMetric::needs_translations)) return decoded;
  std::vector<FlatSentences> parts;
  for (std::string& part : ranks_.all_gather(flatten(share.translations))) parts.emplace_back(std::move(part));
  if (!ranks_.is_first()) return decoded;
  for (size_t i = 0; i < sources_.size(); ++i) {
    decoded.tokens.push_back(parts[i % parts.size()].next());
    decoded.texts.push_back(vocabularies_.back()->decode(decoded.tokens.back()));
    if (!ranks_.is_alone()) log_best(i, decoded.tokens.back());
  }
  if (!options_.quiet) {
    log::info("[valid] Hyp 0: {}", decoded.texts.front());
    log::info("[valid] Ref 0: {}", references_.front());
  }
  return decoded;
}

}  // namespace bough
