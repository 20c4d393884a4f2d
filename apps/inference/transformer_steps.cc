#include "apps/inference/transformer_steps.h"

#include <algorithm>

#include "apps/inference/integer_block.h"
#include "apps/inference/model_batch.h"

namespace bough {
namespace {

DecoderStep upload_rows(Backend& backend, const StepRows& rows, Tensor& closing) {
  IntegerBlock block;
  const size_t ids = block.add(rows.ids), steps = block.add(rows.steps), slots = block.add(rows.slots),
               sentences = block.add(rows.sentences), ancestry = block.add(rows.ancestry),
               labels = block.add(rows.closing);
  block.upload(backend);
  const int64_t count = rows.count();
  closing = block.view(labels, {count});
  return {block.view(ids, {count}), block.view(steps, {count}), block.view(slots, {count}),
          block.view(sentences, {count}), block.view(ancestry, {count, rows.length})};
}

void download(Backend& backend, In tensor, std::vector<double>& out) {
  out.resize(size_t(tensor.size()));
  if (tensor.dtype() == DType::f64) return backend.download(out.data(), tensor);
  std::vector<float> narrow(out.size());
  backend.download(narrow.data(), tensor);
  std::copy(narrow.begin(), narrow.end(), out.begin());
}

DType score_type(const Backend& backend) { return backend.compute_dtype() == DType::f64 ? DType::f64 : DType::f32; }

}  // namespace

TransformerSteps::TransformerSteps(Transformer& transformer, Backend& backend, const Batch& source,
                                   std::span<const int64_t> limits, int beam_size, int32_t banned_id)
    : transformer_(transformer), backend_(backend), banned_id_(banned_id), tape_(backend, false) {
  const ModelBatch batch = upload_batch(backend, source);
  const Var memory = transformer.encode(tape_, batch.source);
  cache_ = transformer.start_decoding(memory, batch.source.packing, int64_t(limits.size()) * beam_size,
                                      *std::max_element(limits.begin(), limits.end()));
}

void TransformerSteps::step(const StepRows& rows, int64_t k, StepScores& out) {
  Tensor closing;
  const DecoderStep input = upload_rows(backend_, rows, closing);
  const Tensor logits = transformer_.step(tape_, cache_, input);
  const int64_t vocabulary = transformer_.target_vocabulary();
  const bool has_banned = banned_id_ >= 0 && banned_id_ < vocabulary;
  out.k = std::min(k, vocabulary - int64_t(has_banned));

  const Tensor scores = backend_.allocate({rows.count(), out.k}, score_type(backend_));
  const Tensor ids = backend_.allocate({rows.count(), out.k}, DType::i32);
  backend_.log_softmax_top_k(scores, ids, logits, vocabulary, out.k, int64_t(banned_id_));
  download(backend_, scores, out.scores);
  out.ids.resize(size_t(ids.size()));
  backend_.download(out.ids.data(), ids);
  if (!rows.has_closing) return;
  // The end of sentence need not be among the k best: its cross-entropy is its negative log-probability.
  const Tensor loss = backend_.allocate({rows.count()}, score_type(backend_));
  backend_.cross_entropy(loss, logits, closing, Tensor(), 0.0, vocabulary, false);
  download(backend_, loss, out.end_scores);
  for (double& score : out.end_scores) score = -score;
}

int64_t TransformerSteps::cache_bytes(const ModelOptions& options, DType dtype) {
  return int64_t(options.decoder_layers) * 2 * options.model_dim * int64_t(size_of(dtype));
}

}  // namespace bough
