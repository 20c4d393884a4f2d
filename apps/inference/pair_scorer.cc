#include "apps/inference/pair_scorer.h"

#include <algorithm>

#include "apps/inference/batch_cut.h"
#include "apps/inference/model_batch.h"

namespace bough {
namespace {

/// Pairs on the backend, and what their decoder is asked for.
struct PackedPairs {
  Batch host;
  ModelBatch batch;
  AlignmentRequest request;

  PackedPairs(Backend& backend, const std::vector<ScoredPair>& pairs, EndIds ends, bool wants_alignments) {
    std::vector<SentencePair> references;
    for (size_t i = 0; i < pairs.size(); ++i) references.push_back({pairs[i].source, pairs[i].target, int64_t(i)});
    host = pack(references, ends);
    batch = upload_batch(backend, host);
    if (wants_alignments)
      request.weights =
          backend.allocate({host.target.rows(), batch.source.packing.longest}, backend.statistics_dtype());
  }
  /// use(pair, row) for the target rows of every pair, in order.
  template <class Use>
  void for_each_row(const Use& use) const {
    for (size_t s = 0; s + 1 < host.target.offsets.size(); ++s)
      for (int32_t row = host.target.offsets[s]; row < host.target.offsets[s + 1]; ++row)
        use(size_t(host.sentence_ids[s]), row);
  }
  std::vector<SoftAlignment> alignments(Backend& backend, const std::vector<ScoredPair>& pairs) const {
    std::vector<double> weights;
    backend.download(weights, request.weights);
    std::vector<SoftAlignment> all(pairs.size());
    for_each_row([&](size_t pair, int32_t row) {
      const auto first = weights.begin() + row * request.weights.cols();
      all[pair].emplace_back(first, first + std::ptrdiff_t(pairs[pair].source.size()) + 1);
    });
    return all;
  }
};

}  // namespace

std::vector<std::vector<size_t>> PairScorer::cut(const std::vector<ScoredPair>& window) const {
  std::vector<BatchSize> sizes;
  for (const auto& [source, target] : window)
    sizes.push_back({.source_tokens = int64_t(source.size()) + 1, .target_tokens = int64_t(target.size()) + 1});
  const int64_t row_bytes = ensemble().target_vocabulary() * int64_t(sizeof(float));
  const int64_t most_rows = std::max<int64_t>(1, logits_bytes / int64_t(workers.on_a_device()) / row_bytes);
  return cut_batches(sizes, batch, [&](const BatchSize& size) { return size.target_tokens <= most_rows; });
}

std::vector<TokenScores> score_batch(Transformer& transformer, Backend& backend, const std::vector<ScoredPair>& pairs,
                                     EndIds ends, std::vector<SoftAlignment>* alignments) {
  PackedPairs packed(backend, pairs, ends, alignments != nullptr);
  Tape tape(backend, false);
  const Var memory = transformer.encode(tape, packed.batch.source);
  const Tensor loss = cross_entropy(transformer.decode(memory, packed.batch, &packed.request), packed.batch.labels, 0,
                                    transformer.target_vocabulary());
  std::vector<double> losses;
  backend.download(losses, loss);
  std::vector<TokenScores> scores(pairs.size());
  packed.for_each_row([&](size_t pair, int32_t row) { scores[pair].push_back(-losses[size_t(row)]); });
  if (alignments) *alignments = packed.alignments(backend, pairs);
  return scores;
}

std::vector<SoftAlignment> align_batch(Transformer& transformer, Backend& backend, const std::vector<ScoredPair>& pairs,
                                       EndIds ends) {
  PackedPairs packed(backend, pairs, ends, true);
  Tape tape(backend, false);
  transformer.decode_layers(transformer.encode(tape, packed.batch.source), packed.batch, &packed.request);
  return packed.alignments(backend, pairs);
}

std::vector<PairScores> PairScorer::score(const Worker& worker, const Job<ScoredPair>& job) const {
  const Ensemble& ensemble = devices[worker.device].ensemble;
  auto scores = std::vector<PairScores>(job.items.size());
  std::vector<SoftAlignment> alignments;
  for (const Ensemble::Member& member : ensemble.members) {
    const bool is_first = &member == &ensemble.members.front();
    const auto of_member = score_batch(*member.transformer, *worker.backend, job.items, ensemble.ends(),
                                       is_first && wants_alignments ? &alignments : nullptr);
    for (size_t i = 0; i < scores.size(); ++i) {
      scores[i].tokens.resize(of_member[i].size());
      for (size_t t = 0; t < of_member[i].size(); ++t) scores[i].tokens[t] += member.weight * of_member[i][t];
    }
  }
  for (size_t i = 0; i < alignments.size(); ++i) scores[i].alignment = std::move(alignments[i]);
  return scores;
}

void PairScorer::run(const std::function<std::vector<ScoredPair>()>& read,
                     const std::function<void(PairScores&&)>& write, const std::function<void()>& stop) const {
  for (const EnsembleOnDevice& device : devices) device.ensemble.end_training();
  run_in_order<ScoredPair, PairScores>(
      workers, {.read = read,
                .cut = [this](const std::vector<ScoredPair>& window) { return cut(window); },
                .compute = [this](const Worker& worker, const Job<ScoredPair>& job) { return score(worker, job); },
                .write = write,
                .stop = stop});
}

}  // namespace bough
