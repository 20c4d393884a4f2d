#pragma once
#include <string>
#include <vector>

#include "apps/inference/model_batch.h"
#include "apps/inference/model_file.h"
#include "core/base/random.h"

/// Options of a Transformer small enough to decode in milliseconds; branchnorm stands at alpha = 0.37.
/// The same with a recurrent decoder.
inline bough::ModelOptions recurrent(bough::ModelOptions o) {
  o.decoder_memory = bough::DecoderMemory::rnn;
  o.decoder_cell = "ssru";
  o.rnn_projection = true;
  o.validate();
  return o;
}

inline bough::ModelOptions small_options(bough::ResidualKind kind) {
  bough::ModelOptions o;
  o.vocab_sizes = {60, 60};
  o.model_dim = 32;
  o.heads = 4;
  o.ffn_dim = 48;
  o.encoder_layers = 2;
  o.decoder_layers = 3;
  o.tied_embeddings_all = true;
  o.residual = kind;
  o.branchnorm_schedule = bough::BranchSchedule::linear;
  o.branchnorm_max_step = {100};
  o.branchnorm_progress = 37;
  o.resolve(true, false);
  return o;
}

/// Every value of transformer-residual.
inline std::vector<bough::ResidualKind> all_residual_kinds() {
  std::vector<bough::ResidualKind> kinds;
  for (const bough::ResidualTraits& traits : bough::all_residual_traits()) kinds.push_back(traits.kind);
  return kinds;
}

/// A model with random parameters; biases and norms too, so that a forgotten one shows.
inline bough::Model random_model(const bough::ModelOptions& options, bough::Backend& backend, uint64_t seed = 1) {
  using namespace bough;
  Model model{options, std::make_unique<ParameterSet>(backend), nullptr};
  model.transformer = std::make_unique<Transformer>(options, nullptr, *model.parameters);
  model.parameters->allocate(false).initialize(seed);
  std::vector<float> arena = model.parameters->download(model.parameters->values());
  RandomStream noise(seed, 99);
  for (const ParameterPart& part : model.parameters->parts())
    if (part.init.kind == Init::Kind::constant)
      for (int64_t i = 0; i < part.size(); ++i) arena[size_t(part.first + i)] += float(0.4 * (noise.uniform() - 0.5));
  model.parameters->upload(model.parameters->values(), arena);
  model.parameters->values_changed();
  model.transformer->set_update_state(inference_state(
      branch_scales(options, model.transformer->residual_site_layers(), options.branchnorm_progress), backend));
  return model;
}

/// Sentences of 1 to `longest` random token ids of [2, vocabulary).
inline std::vector<std::vector<int32_t>> random_sentences(size_t count, size_t longest, int32_t vocabulary,
                                                          uint64_t seed) {
  bough::RandomStream random(seed, 5);
  std::vector<std::vector<int32_t>> sentences(count);
  for (auto& sentence : sentences) {
    sentence.resize(1 + size_t(random.uniform() * double(longest)) % longest);
    for (int32_t& id : sentence) id = 2 + int32_t(random.uniform() * (vocabulary - 2)) % (vocabulary - 2);
  }
  return sentences;
}

/// A tensor of f32 or f64 as f64.
inline std::vector<double> values_of(bough::Backend& backend, const bough::Tensor& tensor) {
  std::vector<double> wide(size_t(tensor.size()));
  if (tensor.dtype() == bough::DType::f64) {
    backend.download(wide.data(), tensor);
    return wide;
  }
  std::vector<float> narrow(wide.size());
  backend.download(narrow.data(), tensor);
  return {narrow.begin(), narrow.end()};
}

/// Teacher-forced logits (T, V padded) of a packed batch.
inline std::vector<double> forward_logits(const bough::Model& model, const bough::Batch& host) {
  bough::Backend& backend = model.parameters->backend();
  bough::Tape tape(backend, false);
  const bough::ModelBatch batch = bough::upload_batch(backend, host);
  const bough::Var memory = model.transformer->encode(tape, batch.source);
  return values_of(backend, model.transformer->decode(memory, batch).value());
}
