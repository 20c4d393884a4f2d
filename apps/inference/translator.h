#pragma once
#include <functional>
#include <span>
#include <vector>

#include "apps/inference/beam_search.h"
#include "apps/inference/ordered_work.h"
#include "data/data_options.h"
#include "layers/transformer.h"

namespace bough {

/// How a Translator works; none of it changes a translation.
struct TranslatorSettings {
  BatchOptions batch;               ///< mini_batch, mini_batch_words (source tokens), maxi_batch_sort
  int workers = 1;                  ///< threads, on the CPU
  int64_t cache_bytes = 512 << 20;  ///< keys and values of all batches in work, at most
};

/// Translates token ids to token ids, many sentences at a time. Results do not depend on batches
/// and workers: bit for bit on the CPU. The transformer is only read; it must not change meanwhile.
class Translator {
 public:
  using Tokens = std::vector<int32_t>;  ///< without end_id
  using Result = std::vector<Hypothesis>;

  /// The parameters stay as they are while the object lives.
  Translator(Transformer& transformer, Backend& backend, const DecodingOptions& decoding,
             const TranslatorSettings& settings);

  /// Translates until `read` gives an empty window of sentences. Batches are cut within a window. `write`
  /// gets results in the order of the input, each as soon as it and all before it are there.
  /// read and write are called from several threads, but each never twice at a time.
  /// An empty sentence has one empty hypothesis with score 0. Throws what read, write or the model throw.
  /// stop: see OrderedWork; where read waits for input.
  void run(const std::function<std::vector<Tokens>()>& read, const std::function<void(Result&&)>& write,
           const std::function<void()>& stop = {});

  /// The same for sentences that are there already.
  std::vector<Result> translate(std::vector<Tokens> sentences);

  /// Longest source, end_id included, that the model has positions for (learned positions only).
  static int64_t longest_source(const ModelOptions& options);

 private:
  std::vector<std::vector<size_t>> cut(const std::vector<Tokens>& window) const;
  std::vector<Result> decode(Backend& backend, const Job<Tokens>& job) const;
  int64_t limit_of(const Tokens& sentence) const;

  Transformer& transformer_;
  DecodingOptions decoding_;
  TranslatorSettings settings_;
  WorkerBackends workers_;
  std::shared_ptr<void> kept_weights_;
  int64_t token_bytes_;  // of keys and values, per slot
};

/// The tokens in reading order: models with right-left write from the last token to the first.
std::vector<int32_t> in_reading_order(std::vector<int32_t> tokens, const ModelOptions& options);

}  // namespace bough
