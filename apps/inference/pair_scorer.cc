#include "apps/inference/pair_scorer.h"

#include <algorithm>

#include "apps/inference/batch_cut.h"
#include "apps/inference/model_batch.h"

namespace bough {
namespace {

/// Downloads f32 or f64 as f64.
std::vector<double> download(Backend& backend, In tensor) {
  std::vector<double> values(size_t(tensor.size()));
  if (tensor.dtype() == DType::f64) {
    backend.download(values.data(), tensor);
    return values;
  }
  std::vector<float> narrow(values.size());
  backend.download(narrow.data(), tensor);
  return {narrow.begin(), narrow.end()};
}

}  // namespace

std::vector<std::vector<size_t>> PairScorer::cut(const std::vector<ScoredPair>& window) const {
  std::vector<BatchSize> sizes;
  for (const auto& [source, target] : window)
    sizes.push_back({.source_tokens = int64_t(source.size()) + 1, .target_tokens = int64_t(target.size()) + 1});
  const int64_t row_bytes = ensemble.target_vocabulary() * int64_t(sizeof(float));
  const int64_t most_rows = std::max<int64_t>(1, logits_bytes / int64_t(workers.count()) / row_bytes);
  return cut_batches(sizes, batch, [&](const BatchSize& size) { return size.target_tokens <= most_rows; });
}

std::vector<TokenScores> score_batch(Transformer& transformer, Backend& backend, const std::vector<ScoredPair>& pairs,
                                     EndIds ends) {
  std::vector<SentencePair> references;
  for (size_t i = 0; i < pairs.size(); ++i) references.push_back({pairs[i].source, pairs[i].target, int64_t(i)});
  const Batch host = pack(references, ends);
  const ModelBatch packed = upload_batch(backend, host);
  Tape tape(backend, false);
  const Var memory = transformer.encode(tape, packed.source);
  const Tensor loss =
      cross_entropy(transformer.decode(memory, packed), packed.labels, 0, transformer.target_vocabulary());
  const std::vector<double> losses = download(backend, loss);
  std::vector<TokenScores> scores(pairs.size());
  for (size_t s = 0; s < scores.size(); ++s)
    for (int32_t row = host.target.offsets[s]; row < host.target.offsets[s + 1]; ++row)
      scores[size_t(host.sentence_ids[s])].push_back(-losses[size_t(row)]);
  return scores;
}

std::vector<TokenScores> PairScorer::score(Backend& backend, const Job<ScoredPair>& job) const {
  auto scores = std::vector<TokenScores>(job.items.size());
  for (const Ensemble::Member& member : ensemble.members) {
    const auto of_member = score_batch(*member.transformer, backend, job.items, ensemble.ends());
    for (size_t i = 0; i < scores.size(); ++i) {
      scores[i].resize(of_member[i].size());
      for (size_t t = 0; t < scores[i].size(); ++t) scores[i][t] += member.weight * of_member[i][t];
    }
  }
  return scores;
}

void PairScorer::run(const std::function<std::vector<ScoredPair>()>& read,
                     const std::function<void(TokenScores&&)>& write, const std::function<void()>& stop) const {
  ensemble.end_training();
  run_in_order<ScoredPair, TokenScores>(
      workers, {.read = read,
                .cut = [this](const std::vector<ScoredPair>& window) { return cut(window); },
                .compute = [this](Backend& b, const Job<ScoredPair>& job) { return score(b, job); },
                .write = write,
                .stop = stop});
}

}  // namespace bough
