#include <algorithm>
#include <numeric>

#include "apps/inference/model_batch.h"
#include "apps/inference/model_scorer.h"

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

/// What a batch of pairs takes.
struct BatchSize {
  int64_t pairs = 0, source = 0, target = 0;
  BatchSize with(const ScoredPair& pair) const {
    return {pairs + 1, source + int64_t(pair.source.size()) + 1, target + int64_t(pair.target.size()) + 1};
  }
};

}  // namespace

std::vector<std::vector<size_t>> PairScorer::cut(const std::vector<ScoredPair>& window) const {
  std::vector<size_t> order(window.size());
  std::iota(order.begin(), order.end(), size_t(0));
  const auto length = [&](size_t i) {
    return batch.maxi_batch_sort == SortKind::source ? window[i].source.size() : window[i].target.size();
  };
  if (batch.maxi_batch_sort != SortKind::none)
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return length(a) > length(b); });
  const int64_t row_bytes = transformer.target_vocabulary() * int64_t(sizeof(float));
  const int64_t most_rows = std::max<int64_t>(1, logits_bytes / int64_t(workers.count()) / row_bytes);
  const auto fits = [&](const BatchSize& size) {
    if (size.target > most_rows) return false;
    if (batch.mini_batch_words > 0) return std::max(size.source, size.target) <= batch.mini_batch_words;
    return size.pairs <= batch.mini_batch;
  };
  std::vector<std::vector<size_t>> batches;
  BatchSize size;
  for (size_t i : order) {
    size = size.with(window[i]);
    if (batches.empty() || !fits(size)) {
      batches.emplace_back();
      size = BatchSize().with(window[i]);
    }
    batches.back().push_back(i);
  }
  return batches;
}

std::vector<TokenScores> PairScorer::score(Backend& backend, const Job<ScoredPair>& job) const {
  std::vector<SentencePair> pairs;
  for (size_t i = 0; i < job.items.size(); ++i) pairs.push_back({job.items[i].source, job.items[i].target, int64_t(i)});
  const Batch host = pack(pairs);
  const ModelBatch packed = upload_batch(backend, host);
  Tape tape(backend, false);
  const Var memory = transformer.encode(tape, packed.source);
  const Tensor loss =
      cross_entropy(transformer.decode(memory, packed), packed.labels, 0, transformer.target_vocabulary());
  const std::vector<double> losses = download(backend, loss);
  std::vector<TokenScores> scores(job.items.size());
  for (size_t s = 0; s < scores.size(); ++s)
    for (int32_t row = host.target.offsets[s]; row < host.target.offsets[s + 1]; ++row)
      scores[size_t(host.sentence_ids[s])].push_back(-losses[size_t(row)]);
  return scores;
}

void PairScorer::run(const std::function<std::vector<ScoredPair>()>& read,
                     const std::function<void(TokenScores&&)>& write, const std::function<void()>& stop) const {
  transformer.set_training(false);
  run_in_order<ScoredPair, TokenScores>(
      workers, {.read = read,
                .cut = [this](const std::vector<ScoredPair>& window) { return cut(window); },
                .compute = [this](Backend& b, const Job<ScoredPair>& job) { return score(b, job); },
                .write = write,
                .stop = stop});
}

}  // namespace bough
