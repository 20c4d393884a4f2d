#include "apps/inference/transformer_steps.h"

#include <algorithm>

#include "apps/inference/integer_block.h"
#include "apps/inference/model_batch.h"
#include "apps/inference/word_scores.h"

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

TransformerSteps::TransformerSteps(const Ensemble& ensemble, Backend& backend, const Batch& source,
                                   std::span<const int64_t> limits, int beam_size, int32_t banned_id)
    : ensemble_(ensemble), backend_(backend), banned_id_(banned_id), tape_(backend, false) {
  const ModelBatch batch = upload_batch(backend, source);
  const int64_t slots = int64_t(limits.size()) * beam_size, longest = *std::max_element(limits.begin(), limits.end());
  for (const Ensemble::Member& member : ensemble.members) {
    const Var memory = member.transformer->encode(tape_, batch.source);
    caches_.push_back(member.transformer->start_decoding(memory, batch.source.packing, slots, longest));
  }
}

void TransformerSteps::step(const StepRows& rows, int64_t k, StepScores& out) {
  Tensor closing;
  const DecoderStep input = upload_rows(backend_, rows, closing);
  const int64_t vocabulary = ensemble_.target_vocabulary();
  out.k = std::min(k, vocabulary - int64_t(banned_id_ >= 0 && banned_id_ < vocabulary));
  std::vector<Tensor> logits;
  for (size_t m = 0; m < caches_.size(); ++m)
    logits.push_back(ensemble_.members[m].transformer->step(tape_, caches_[m], input));
  if (!ensemble_.is_one_model()) return best_of_several(logits, rows, out);
  best_of_one(logits.front(), out);
  if (rows.has_closing) score_closing(logits.front(), closing, out);
}

void TransformerSteps::best_of_one(In logits, StepScores& out) {
  const Tensor scores = backend_.allocate({logits.rows(), out.k}, score_type(backend_));
  const Tensor ids = backend_.allocate({logits.rows(), out.k}, DType::i32);
  backend_.log_softmax_top_k(scores, ids, logits, ensemble_.target_vocabulary(), out.k, int64_t(banned_id_));
  download(backend_, scores, out.scores);
  out.ids.resize(size_t(ids.size()));
  backend_.download(out.ids.data(), ids);
}

/// The end of sentence need not be among the k best: its cross-entropy is its negative log-probability.
void TransformerSteps::score_closing(In logits, In closing, StepScores& out) {
  const Tensor loss = backend_.allocate({logits.rows()}, score_type(backend_));
  backend_.cross_entropy(loss, logits, closing, 0.0, ensemble_.target_vocabulary(), false);
  download(backend_, loss, out.end_scores);
  for (double& score : out.end_scores) score = -score;
}

void TransformerSteps::best_of_several(const std::vector<Tensor>& logits, const StepRows& rows, StepScores& out) {
  WordScores all(rows.count(), ensemble_.target_vocabulary());
  for (size_t m = 0; m < logits.size(); ++m) all.add(backend_, logits[m], ensemble_.members[m].weight);
  out.scores.clear();
  out.ids.clear();
  out.end_scores.clear();
  for (int64_t r = 0; r < rows.count(); ++r) {
    for (const ScoredWord& word : best_words(all.row(r), out.k, banned_id_)) {
      out.scores.push_back(word.score);
      out.ids.push_back(word.id);
    }
    out.end_scores.push_back(double(all.row(r)[size_t(end_of_sentence())]));
  }
}

int64_t TransformerSteps::cache_bytes(const Ensemble& ensemble, DType dtype) {
  int64_t bytes = 0;
  for (const Ensemble::Member& member : ensemble.members) {
    const ModelOptions& options = member.transformer->options();
    bytes += int64_t(options.decoder_layers) * 2 * options.model_dim * int64_t(size_of(dtype));
  }
  return bytes;
}

}  // namespace bough
