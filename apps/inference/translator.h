#pragma once
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "apps/inference/beam_search.h"
#include "apps/inference/ensemble.h"
#include "apps/inference/ordered_work.h"
#include "apps/inference/shortlist.h"
#include "data/data_options.h"

namespace bough {

/// How a Translator works; nothing but the shortlist changes a translation.
struct TranslatorSettings {
  BatchOptions batch;                    ///< mini_batch, mini_batch_words (source tokens), maxi_batch_sort
  int workers = 1;                       ///< threads, on the CPU
  int64_t cache_bytes = 512 << 20;       ///< keys and values of all batches in work, at most
  const Shortlist* shortlist = nullptr;  ///< changes translations: see there. Outlives the translator
  bool consumes_models = false;          ///< they are of no use after it: their memory goes where it can
  /// Called when a batch is done, from any thread.
  std::function<void(int64_t sentences, int64_t source_tokens)> on_batch = {};
};

/// Translates token ids to token ids, many sentences at a time. Results do not depend on batches
/// and workers: bit for bit on the CPU. The models are only read; they must not change meanwhile.
class Translator {
 public:
  using Tokens = std::vector<int32_t>;  ///< without end_id
  /// A sentence, and what its translation must begin with (in the order in which the model writes).
  struct Source {
    Source(Tokens sentence, Tokens begins_with = {}) : tokens(std::move(sentence)), prefix(std::move(begins_with)) {}
    Source() = default;
    Tokens tokens, prefix;
  };
  using Result = std::vector<Hypothesis>;

  /// The parameters stay as they are while the object lives. With several devices each translates a part of the
  /// batches.
  Translator(std::vector<EnsembleOnDevice> devices, const DecodingOptions& decoding,
             const TranslatorSettings& settings);
  Translator(Ensemble ensemble, Backend& backend, const DecodingOptions& decoding, const TranslatorSettings& settings)
      : Translator({EnsembleOnDevice{std::move(ensemble), &backend}}, decoding, settings) {}

  /// Translates until `read` gives an empty window of sentences. Batches are cut within a window. `write`
  /// gets results in the order of the input, each as soon as it and all before it are there.
  /// read and write are called from several threads, but each never twice at a time.
  /// An empty sentence has one empty hypothesis with score 0, whatever its prefix. Throws what read, write or the model
  /// throw. stop: see OrderedWork; where read waits for input.
  void run(const std::function<std::vector<Source>()>& read, const std::function<void(Result&&)>& write,
           const std::function<void()>& stop = {});

  /// The same for sentences that are there already.
  std::vector<Result> translate(const std::vector<Tokens>& sentences);

 private:
  std::vector<KeptWeight> weights(const Ensemble& ensemble) const;
  std::vector<std::vector<size_t>> cut(const std::vector<Source>& window) const;
  std::vector<Result> decode(const Worker& worker, const Job<Source>& job) const;
  std::vector<Result> search(const Worker& worker, const std::vector<const Source*>& sources,
                             std::vector<int64_t> numbers) const;
  int64_t limit_of(const Source& source) const;
  /// The models, of which every device has a copy.
  const Ensemble& ensemble() const { return devices_.front().ensemble; }
  const Ensemble& ensemble(const Worker& worker) const { return devices_[worker.device].ensemble; }
  bool wants_model_scores() const { return decoding_.n_best && !ensemble().is_one_model(); }
  template <class Use>
  void for_each_batch(const Job<Source>& job, std::vector<Result>& results, bool all, const Use& use) const;
  void add_alignments(const Worker& worker, const Job<Source>& job, std::vector<Result>& results) const;
  void add_model_scores(const Worker& worker, const Job<Source>& job, std::vector<Result>& results) const;

  std::vector<EnsembleOnDevice> devices_;
  DecodingOptions decoding_;
  TranslatorSettings settings_;
  WorkerBackends workers_;
  std::vector<std::shared_ptr<void>> kept_weights_;
  int64_t token_bytes_;  // of keys and values, per slot
};

/// The tokens in reading order: models with right-left write from the last token to the first.
std::vector<int32_t> in_reading_order(std::vector<int32_t> tokens, bool right_left);

}  // namespace bough
