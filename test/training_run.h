#pragma once
#include <memory>
#include <vector>

#include "apps/training/training_model.h"
#include "core/base/random.h"
#include "core/cpu/factory.h"
#include "data/batch.h"
#include "test/concatenated_batch.h"
#include "test/small_model.h"

// Training a model of a few thousand parameters on random sentences.

namespace bough {

constexpr int vocabulary = 50;

inline ModelOptions small_model(ResidualKind residual) {
  ModelOptions o;
  o.vocab_sizes = {vocabulary, vocabulary};
  o.model_dim = 32;
  o.heads = 4;
  o.ffn_dim = 64;
  o.encoder_layers = o.decoder_layers = 2;
  o.activation = Activation::relu;
  o.tied_embeddings_all = true;
  o.residual = residual;
  o.branchnorm_max_step = {100, ScheduleUnit::updates};
  return o;
}

inline DropoutOptions all_dropouts(double p) {
  DropoutOptions d;
  d.dropout = d.attention_dropout = d.activation_dropout = p;
  d.source_word_dropout = d.target_word_dropout = p / 2;
  d.label_smoothing = 0.1;
  return d;
}

inline OptimizerOptions adam(double rate) {
  OptimizerOptions o;
  o.learning_rate = rate;
  o.beta2 = 0.98;
  o.epsilon = 1e-9;
  o.clip_norm = 1;
  return o;
}

/// `count` random sentence pairs; the target repeats the source in reverse.
struct Sentences {
  std::vector<std::vector<int32_t>> sources, targets;
  std::vector<std::vector<int32_t>> alignments;  ///< empty, or of each pair: see align()
  explicit Sentences(int count, uint64_t seed = 1) {
    RandomStream random(seed);
    for (int i = 0; i < count; ++i) {
      std::vector<int32_t> s(3 + random.below(8));
      for (auto& id : s) id = int32_t(2 + random.below(vocabulary - 2));
      sources.push_back(s);
      targets.emplace_back(s.rbegin(), s.rend());
    }
  }
  Batch pack(size_t first, size_t end) const {
    std::vector<SentencePair> pairs;
    for (size_t i = first; i < end; ++i) {
      pairs.push_back({sources[i], targets[i], int64_t(i)});
      if (!alignments.empty()) pairs.back().alignment = alignments[i];
    }
    return bough::pack(pairs);
  }
  /// Aligns every target token with the source token that it repeats.
  void align() {
    for (const auto& s : sources) {
      std::vector<int32_t>& points = alignments.emplace_back();
      const auto last = int32_t(s.size()) - 1;
      for (int32_t t = 0; t <= last; ++t) points.insert(points.end(), {last - t, t});
      points.insert(points.end(), {last + 1, last + 1});
    }
  }
  size_t size() const { return sources.size(); }
};

/// The corpus as an update of `parts` micro-batches of the same rows in the same order.
inline UpdateBatches update_of(const Sentences& corpus, size_t parts) {
  UpdateBatches update;
  int32_t source_rows = 0, target_rows = 0;
  for (size_t i = 0; i < parts; ++i) {
    Batch batch = corpus.pack(i * corpus.size() / parts, (i + 1) * corpus.size() / parts);
    batch.source.row_offset = source_rows;
    batch.target.row_offset = target_rows;
    source_rows += batch.source.rows();
    target_rows += batch.target.rows();
    update.sentences += batch.sentences();
    update.micro.push_back(std::move(batch));
  }
  update.source_tokens = source_rows;
  update.target_tokens = target_rows;
  return update;
}

inline UpdateBatches as_one_batch(UpdateBatches update) {
  update.micro = {concatenate(update.micro)};
  return update;
}

struct Run {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Communicator> device_ranks;  // goes before the backend
  TrainingModel model;
  TrainingClock clock;
  std::vector<double> losses;

  Run(const ModelOptions& options, const DropoutOptions& dropout, const OptimizerOptions& optimizer, int threads = 2,
      DType type = DType::f32, Communicator& ranks = one_process())
      : Run(make_cpu_backend(threads, type), options, dropout, optimizer, ranks) {}
  Run(std::unique_ptr<Backend> made, const ModelOptions& options, const DropoutOptions& dropout,
      const OptimizerOptions& optimizer, Communicator& ranks = one_process())
      : backend(std::move(made)), model(*backend, options, dropout, optimizer, 7, ranks) {
    model.initialize();
  }
  Run(std::unique_ptr<Backend> made, std::unique_ptr<Communicator> ranks, const ModelOptions& options,
      const DropoutOptions& dropout, const OptimizerOptions& optimizer)
      : backend(std::move(made)),
        device_ranks(std::move(ranks)),
        model(*backend, options, dropout, optimizer, 7, *device_ranks) {
    model.initialize();
  }
  /// Moves what begins constant (norms, biases, scales) away from it, so that every term of the model matters.
  void perturb() {
    auto& set = model.parameters();
    std::vector<float> values = set.download(set.values());
    RandomStream random(17);
    for (const auto& part : set.parts())
      if (part.init.kind == Init::Kind::constant)
        for (int64_t i = 0; i < part.size(); ++i)
          values[size_t(part.first + i)] += float(0.4 * (random.uniform() - 0.5));
    set.upload(set.values(), values);
    set.values_changed();
  }
  UpdateResult train(const UpdateBatches& update, double rate, bool measures = false) {
    const UpdateResult result = model.update(update, {clock, rate, 0.01, measures});
    clock.finish_update(update.target_tokens);
    losses.push_back(result.loss / double(update.target_tokens));
    return result;
  }
  std::vector<float> parameters() const {
    auto& set = const_cast<TrainingModel&>(model).parameters();
    return set.download(set.values());
  }
};

}  // namespace bough
