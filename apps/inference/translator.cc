#include "apps/inference/translator.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "apps/inference/batch_cut.h"
#include "apps/inference/transformer_steps.h"
#include "core/base/special_ids.h"

namespace bough {

Translator::Translator(Transformer& transformer, Backend& backend, const DecodingOptions& decoding,
                       const TranslatorSettings& settings)
    : transformer_(transformer),
      decoding_(decoding),
      settings_(settings),
      workers_(backend, settings.workers),
      kept_weights_(backend.keep_weights(transformer.weights())),
      token_bytes_(TransformerSteps::cache_bytes(transformer.options(), backend.compute_dtype())) {}

int64_t Translator::longest_source(const ModelOptions& options) {
  return options.learned_positions ? options.max_positions : std::numeric_limits<int64_t>::max();
}

int64_t Translator::limit_of(const Tokens& sentence) const {
  return std::min(length_limit(int64_t(sentence.size()) + 1, decoding_), longest_source(transformer_.options()));
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
      results[i] = {Hypothesis{{}, {0.0}, 0, 0}};
      continue;
    }
    places.push_back(i);
    sources.push_back({sentence, {}, job.numbers[i]});
    limits.push_back(limit_of(sentence));
  }
  if (sources.empty()) return results;
  TransformerSteps steps(transformer_, backend, pack_source(sources), limits, decoding_.beam_size,
                         decoding_.allow_unk ? -1 : unknown_id);
  std::vector<Result> found = beam_search(steps, limits, decoding_);
  for (size_t i = 0; i < places.size(); ++i) results[places[i]] = std::move(found[i]);
  return results;
}

void Translator::run(const std::function<std::vector<Tokens>()>& read, const std::function<void(Result&&)>& write,
                     const std::function<void()>& stop) {
  transformer_.set_training(false);
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

std::vector<int32_t> in_reading_order(std::vector<int32_t> tokens, const ModelOptions& options) {
  if (options.right_left) std::reverse(tokens.begin(), tokens.end());
  return tokens;
}

}  // namespace bough
