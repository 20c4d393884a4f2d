#include "apps/inference/translator.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "apps/inference/batch_cut.h"
#include "apps/inference/pair_scorer.h"
#include "apps/inference/transformer_steps.h"
#include "core/base/rounding.h"
#include "core/base/special_ids.h"

namespace bough {
namespace {

/// Of a step on the CPU: with more rows products are no faster, while keys, values and logits leave the caches.
constexpr int64_t most_cpu_rows = 128;

}  // namespace

Translator::Translator(std::vector<EnsembleOnDevice> devices, const DecodingOptions& decoding,
                       const TranslatorSettings& settings)
    : devices_(std::move(devices)),
      decoding_(decoding),
      settings_(settings),
      workers_(backends_of(devices_), settings.workers),
      token_bytes_(TransformerSteps::cache_bytes(ensemble(), devices_.front().backend->compute_dtype())) {
  for (const EnsembleOnDevice& device : devices_)
    kept_weights_.push_back(device.backend->keep_weights(weights(device.ensemble)));
}

/// With a shortlist the output layer is read by rows; models' own scores are of all words.
std::vector<KeptWeight> Translator::weights(const Ensemble& ensemble) const {
  std::vector<KeptWeight> all = ensemble.weights(settings_.shortlist != nullptr, settings_.consumes_models);
  if (settings_.shortlist && wants_model_scores()) std::ranges::move(ensemble.weights(), std::back_inserter(all));
  return all;
}

int64_t Translator::limit_of(const Source& source) const {
  const int64_t limit = length_limit(int64_t(source.tokens.size()) + 1, decoding_);
  return std::min(std::max(limit, int64_t(source.prefix.size()) + 1), ensemble().longest_sentence());
}

std::vector<std::vector<size_t>> Translator::cut(const std::vector<Source>& window) const {
  std::vector<BatchSize> sizes;
  for (const Source& source : window)
    sizes.push_back({.source_tokens = int64_t(source.tokens.size()) + 1, .longest_result = limit_of(source)});
  const int64_t most_bytes = settings_.cache_bytes / int64_t(workers_.on_a_device());
  // Few sentences are divided, so that nobody is idle; fewer still are one batch, which several threads compute.
  const bool are_very_few = 2 * window.size() <= workers_.count();
  const int64_t share =
      are_very_few ? int64_t(window.size()) : divide_up(int64_t(window.size()), int64_t(workers_.count()));
  const bool is_on_cpu = devices_.front().backend->name() == "cpu";
  return cut_batches(sizes, settings_.batch, [&](const BatchSize& batch) {
    const int64_t rows = batch.sentences * decoding_.hypotheses();
    return batch.sentences <= share && (!is_on_cpu || rows <= most_cpu_rows) &&
           rows * batch.longest_result * token_bytes_ <= most_bytes;
  });
}

std::vector<Translator::Result> Translator::decode(const Worker& worker, const Job<Source>& job) const {
  std::vector<const Source*> sources;
  std::vector<int64_t> numbers;
  std::vector<size_t> places;  // of the sentences that are not empty
  std::vector<Result> results(job.items.size());
  int64_t tokens = 0;
  for (size_t i = 0; i < job.items.size(); ++i) {
    tokens += int64_t(job.items[i].tokens.size()) + 1;
    if (job.items[i].tokens.empty()) {
      const size_t members = wants_model_scores() ? ensemble().members.size() : 0;
      results[i] = {Hypothesis{{}, {0.0}, 0, 0, {{1.0}}, std::vector<double>(members)}};
      continue;
    }
    places.push_back(i);
    sources.push_back(&job.items[i]);
    numbers.push_back(job.numbers[i]);
  }
  if (!sources.empty()) {
    std::vector<Result> found = search(worker, sources, std::move(numbers));
    for (size_t i = 0; i < places.size(); ++i) results[places[i]] = std::move(found[i]);
    if (wants_model_scores()) add_model_scores(worker, job, results);
    if (decoding_.wants_alignments()) add_alignments(worker, job, results);
  }
  if (settings_.on_batch) settings_.on_batch(int64_t(job.items.size()), tokens);
  return results;
}

/// Samples are searches with a beam of one, side by side, where the model offers nothing but the word that was drawn.
std::vector<Translator::Result> Translator::search(const Worker& worker, const std::vector<const Source*>& sources,
                                                   std::vector<int64_t> numbers) const {
  DecodingOptions options = decoding_;
  if (options.sampling) options.beam_size = 1;
  const int copies = options.sampling ? decoding_.hypotheses() : 1;
  std::vector<SentencePair> pairs;
  std::vector<int64_t> limits;
  std::vector<Tokens> prefixes;
  for (const Source* source : sources) {
    pairs.push_back({source->tokens, {}, int64_t(pairs.size())});
    limits.insert(limits.end(), size_t(copies), limit_of(*source));
    prefixes.insert(prefixes.end(), size_t(copies), source->prefix);
  }
  const int32_t banned = options.allow_unk ? -1 : ensemble().target.unknown;
  ListedWords lists;
  if (settings_.shortlist)
    for (const Source* source : sources)
      lists.push_back(settings_.shortlist->words(source->tokens, source->prefix, banned));
  TransformerSteps steps(ensemble(worker), *worker.backend, pack_source(pairs, ensemble().source.end), limits,
                         options.beam_size, banned, {options.sampling, options.seed, copies, std::move(numbers)},
                         std::move(lists), decoding_.skips_softmax());
  std::vector<Result> found = beam_search(steps, limits, options, prefixes);
  if (copies == 1) return found;
  std::vector<Result> results(sources.size());
  for (size_t i = 0; i < found.size(); ++i)
    std::ranges::move(found[i], std::back_inserter(results[i / size_t(copies)]));
  return results;
}

/// Calls use(pairs, hypotheses) for hypotheses with the sentences that they translate, all of them or the best of each,
/// so many at a time that their logits take no more memory than keys and values may.
template <class Use>
void Translator::for_each_batch(const Job<Source>& job, std::vector<Result>& results, bool all, const Use& use) const {
  const int64_t row_bytes = ensemble().target_vocabulary() * int64_t(sizeof(float));
  const int64_t most_rows = settings_.cache_bytes / int64_t(workers_.on_a_device()) / row_bytes;
  std::vector<ScoredPair> pairs;
  std::vector<Hypothesis*> hypotheses;
  int64_t rows = 0;
  for (size_t i = 0; i < results.size(); ++i)
    for (Hypothesis& hypothesis : results[i]) {
      if (job.items[i].tokens.empty() || (!all && &hypothesis != &results[i].front())) continue;
      const auto length = int64_t(hypothesis.word_scores.size());
      if (!pairs.empty() && rows + length > most_rows) {
        use(pairs, hypotheses);
        pairs.clear();
        hypotheses.clear();
        rows = 0;
      }
      rows += length;
      pairs.push_back({job.items[i].tokens, hypothesis.tokens});
      hypotheses.push_back(&hypothesis);
    }
  if (!pairs.empty()) use(pairs, hypotheses);
}

/// What each model says of the hypotheses, for the features of n-best lists: teacher-forced.
void Translator::add_model_scores(const Worker& worker, const Job<Source>& job, std::vector<Result>& results) const {
  for_each_batch(job, results, true, [&](const auto& pairs, const auto& hypotheses) {
    for (const Ensemble::Member& member : ensemble(worker).members) {
      const auto scores = score_batch(*member.transformer, *worker.backend, pairs, ensemble().ends());
      for (size_t i = 0; i < pairs.size(); ++i)
        hypotheses[i]->model_scores.push_back(std::accumulate(scores[i].begin(), scores[i].end(), 0.0));
    }
  });
}

/// Where the first model looks, for the hypotheses that are printed. Teacher-forced: the search need not keep it.
void Translator::add_alignments(const Worker& worker, const Job<Source>& job, std::vector<Result>& results) const {
  for_each_batch(job, results, decoding_.n_best, [&](const auto& pairs, const auto& hypotheses) {
    Transformer& first = *ensemble(worker).members.front().transformer;
    auto alignments = align_batch(first, *worker.backend, pairs, ensemble().ends());
    for (size_t i = 0; i < pairs.size(); ++i) hypotheses[i]->alignment = std::move(alignments[i]);
  });
}

void Translator::run(const std::function<std::vector<Source>()>& read, const std::function<void(Result&&)>& write,
                     const std::function<void()>& stop) {
  for (const EnsembleOnDevice& device : devices_) device.ensemble.end_training();
  run_in_order<Source, Result>(
      workers_, {.read = read,
                 .cut = [this](const std::vector<Source>& window) { return cut(window); },
                 .compute = [this](const Worker& worker, const Job<Source>& job) { return decode(worker, job); },
                 .write = write,
                 .stop = stop});
}

std::vector<Translator::Result> Translator::translate(const std::vector<Tokens>& sentences) {
  std::vector<Source> sources(sentences.begin(), sentences.end());
  std::vector<Result> results;
  run([&] { return std::exchange(sources, {}); }, [&](Result&& result) { results.push_back(std::move(result)); });
  return results;
}

std::vector<int32_t> in_reading_order(std::vector<int32_t> tokens, bool right_left) {
  if (right_left) std::reverse(tokens.begin(), tokens.end());
  return tokens;
}

}  // namespace bough
