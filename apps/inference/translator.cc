#include "apps/inference/translator.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "apps/inference/batch_cut.h"
#include "apps/inference/pair_scorer.h"
#include "apps/inference/transformer_steps.h"
#include "core/base/special_ids.h"

namespace bough {

Translator::Translator(Ensemble ensemble, Backend& backend, const DecodingOptions& decoding,
                       const TranslatorSettings& settings)
    : ensemble_(std::move(ensemble)),
      decoding_(decoding),
      settings_(settings),
      workers_(backend, settings.workers),
      token_bytes_(TransformerSteps::cache_bytes(ensemble_, backend.compute_dtype())) {}

int64_t Translator::limit_of(const Tokens& sentence) const {
  return std::min(length_limit(int64_t(sentence.size()) + 1, decoding_), ensemble_.longest_sentence());
}

std::vector<std::vector<size_t>> Translator::cut(const std::vector<Tokens>& window) const {
  std::vector<BatchSize> sizes;
  for (const Tokens& sentence : window)
    sizes.push_back({.source_tokens = int64_t(sentence.size()) + 1, .longest_result = limit_of(sentence)});
  const int64_t most_bytes = settings_.cache_bytes / int64_t(workers_.count());
  return cut_batches(sizes, settings_.batch, [&](const BatchSize& batch) {
    return batch.sentences * decoding_.beam_size * batch.longest_result * token_bytes_ <= most_bytes;
  });
}

std::vector<Translator::Result> Translator::decode(Backend& backend, const Job<Tokens>& job) const {
  std::vector<SentencePair> sources;
  std::vector<int64_t> limits;
  std::vector<size_t> places;  // of the sentences that are not empty
  std::vector<Result> results(job.items.size());
  for (size_t i = 0; i < job.items.size(); ++i) {
    const Tokens& sentence = job.items[i];
    if (sentence.empty()) {
      results[i] = {
          Hypothesis{{}, {0.0}, 0, 0, std::vector<double>(wants_model_scores() ? ensemble_.members.size() : 0)}};
      continue;
    }
    places.push_back(i);
    sources.push_back({sentence, {}, job.numbers[i]});
    limits.push_back(limit_of(sentence));
  }
  if (sources.empty()) return results;
  TransformerSteps steps(ensemble_, backend, pack_source(sources, ensemble_.source.end), limits, decoding_.beam_size,
                         decoding_.allow_unk ? -1 : ensemble_.target.unknown);
  std::vector<Result> found = beam_search(steps, limits, decoding_);
  for (size_t i = 0; i < places.size(); ++i) results[places[i]] = std::move(found[i]);
  if (wants_model_scores()) add_model_scores(backend, job, results);
  return results;
}

/// What each model says of the hypotheses, for the features of n-best lists: teacher-forced, in batches whose logits
/// take no more memory than keys and values may.
void Translator::add_model_scores(Backend& backend, const Job<Tokens>& job, std::vector<Result>& results) const {
  const int64_t row_bytes = ensemble_.target_vocabulary() * int64_t(sizeof(float));
  const int64_t most_rows = settings_.cache_bytes / int64_t(workers_.count()) / row_bytes;
  std::vector<ScoredPair> pairs;
  std::vector<Hypothesis*> hypotheses;
  int64_t rows = 0;
  const auto score = [&] {
    for (const Ensemble::Member& member : ensemble_.members) {
      const auto scores = score_batch(*member.transformer, backend, pairs, ensemble_.ends());
      for (size_t i = 0; i < pairs.size(); ++i)
        hypotheses[i]->model_scores.push_back(std::accumulate(scores[i].begin(), scores[i].end(), 0.0));
    }
    pairs.clear();
    hypotheses.clear();
    rows = 0;
  };
  for (size_t i = 0; i < results.size(); ++i)
    for (Hypothesis& hypothesis : results[i]) {
      if (job.items[i].empty()) continue;
      rows += int64_t(hypothesis.word_scores.size());
      if (!pairs.empty() && rows > most_rows) score();
      pairs.push_back({job.items[i], hypothesis.tokens});
      hypotheses.push_back(&hypothesis);
    }
  if (!pairs.empty()) score();
}

void Translator::run(const std::function<std::vector<Tokens>()>& read, const std::function<void(Result&&)>& write,
                     const std::function<void()>& stop) {
  ensemble_.end_training();
  run_in_order<Tokens, Result>(workers_,
                               {.read = read,
                                .cut = [this](const std::vector<Tokens>& window) { return cut(window); },
                                .compute = [this](Backend& b, const Job<Tokens>& job) { return decode(b, job); },
                                .write = write,
                                .stop = stop});
}

std::vector<Translator::Result> Translator::translate(std::vector<Tokens> sentences) {
  std::vector<Result> results;
  run([&] { return std::exchange(sentences, {}); }, [&](Result&& result) { results.push_back(std::move(result)); });
  return results;
}

std::vector<int32_t> in_reading_order(std::vector<int32_t> tokens, bool right_left) {
  if (right_left) std::reverse(tokens.begin(), tokens.end());
  return tokens;
}

}  // namespace bough
