#pragma once
#include <functional>
#include <vector>

#include "apps/inference/alignment_format.h"
#include "apps/inference/ensemble.h"
#include "apps/inference/ordered_work.h"
#include "data/data_options.h"

namespace bough {

/// A sentence pair to score, as token ids without end_id.
struct ScoredPair {
  std::vector<int32_t> source, target;
};

/// log p(target | source): of every target token and the end of sentence, in nats.
using TokenScores = std::vector<double>;

/// What is found out about a pair.
struct PairScores {
  TokenScores tokens;
  SoftAlignment alignment;  ///< where asked for; its target tokens in the order in which the model writes
};

/// The scores of pairs that fit into a batch, by one model; `alignments`, unless null, becomes those of the pairs.
std::vector<TokenScores> score_batch(Transformer& transformer, Backend& backend, const std::vector<ScoredPair>& pairs,
                                     EndIds ends, std::vector<SoftAlignment>* alignments = nullptr);
/// The alignments alone, without the work of scores.
std::vector<SoftAlignment> align_batch(Transformer& transformer, Backend& backend, const std::vector<ScoredPair>& pairs,
                                       EndIds ends);

/// Scores pairs with the models, teacher-forced and packed, batch by batch; `write` gets them in the order of
/// the input. logits_bytes: memory for logits of all batches in work on a device, at most (a single longer
/// pair aside).
/// On the CPU a pair's scores do not depend on its batch mates, bit for bit.
struct PairScorer {
  std::vector<EnsembleOnDevice> devices;  ///< each scores a part of the batches
  WorkerBackends& workers;                ///< of the same devices
  BatchOptions batch;
  int64_t logits_bytes = 512 << 20;
  bool wants_alignments = false;  ///< of the first model

  /// read, stop: see OrderedWork.
  void run(const std::function<std::vector<ScoredPair>()>& read, const std::function<void(PairScores&&)>& write,
           const std::function<void()>& stop = {}) const;

 private:
  const Ensemble& ensemble() const { return devices.front().ensemble; }
  std::vector<std::vector<size_t>> cut(const std::vector<ScoredPair>& window) const;
  std::vector<PairScores> score(const Worker& worker, const Job<ScoredPair>& job) const;
};

}  // namespace bough
