#include "apps/inference/transformer_steps.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "apps/inference/integer_block.h"
#include "apps/inference/model_batch.h"

namespace bough {
namespace {

DecoderStep upload_rows(Backend& backend, const StepRows& rows, int32_t rows_per_sentence, Tensor& forced) {
  IntegerBlock block;
  std::vector<int32_t> source = rows.sentences;
  for (int32_t& sentence : source) sentence /= rows_per_sentence;
  const size_t ids = block.add(rows.ids), steps = block.add(rows.steps), slots = block.add(rows.slots),
               sentences = block.add(source), ancestry = block.add(rows.ancestry), labels = block.add(rows.forced);
  block.upload(backend);
  const int64_t count = rows.count();
  forced = block.view(labels, {count});
  return {block.view(ids, {count}), block.view(steps, {count}), block.view(slots, {count}),
          block.view(sentences, {count}), block.view(ancestry, {count, rows.length})};
}

}  // namespace

TransformerSteps::TransformerSteps(const Ensemble& ensemble, Backend& backend, const Batch& source,
                                   std::span<const int64_t> limits, int beam_size, int32_t banned_id,
                                   SampledBatch samples)
    : ensemble_(ensemble),
      backend_(backend),
      banned_id_(banned_id),
      samples_(std::move(samples)),
      tape_(backend, false) {
  const ModelBatch batch = upload_batch(backend, source);
  const int64_t slots = int64_t(limits.size()) * beam_size, longest = *std::max_element(limits.begin(), limits.end());
  for (const Ensemble::Member& member : ensemble.members) {
    const Var memory = member.transformer->encode(tape_, batch.source);
    caches_.push_back(member.transformer->start_decoding(memory, batch.source.packing, slots, longest));
  }
}

void TransformerSteps::step(const StepRows& rows, int64_t k, StepScores& out) {
  Tensor forced;
  const DecoderStep input = upload_rows(backend_, rows, samples_.per_sentence, forced);
  const int64_t vocabulary = ensemble_.target_vocabulary();
  out.k = std::min(k, vocabulary - int64_t(banned_id_ >= 0 && banned_id_ < vocabulary));
  std::vector<Tensor> logits;
  for (size_t m = 0; m < caches_.size(); ++m)
    logits.push_back(ensemble_.members[m].transformer->step(tape_, caches_[m], input));
  if (ensemble_.is_one_model() && !samples_.rule) {
    best_of_one(logits.front(), out);
    if (rows.has_forced) score_forced(logits.front(), forced, out);
    return;
  }
  const WordScores all = total(logits);
  samples_.rule ? draw_from(all, rows, out) : best_of(all, out);
  out.forced_scores.assign(rows.forced.size(), 0.0);
  for (size_t r = 0; r < rows.forced.size(); ++r)
    if (rows.forced[r] >= 0) out.forced_scores[r] = double(all.row(int64_t(r))[size_t(rows.forced[r])]);
}

void TransformerSteps::best_of_one(In logits, StepScores& out) {
  const Tensor scores = backend_.allocate({logits.rows(), out.k}, backend_.statistics_dtype());
  const Tensor ids = backend_.allocate({logits.rows(), out.k}, DType::i32);
  backend_.log_softmax_top_k(scores, ids, logits, ensemble_.target_vocabulary(), out.k, int64_t(banned_id_));
  backend_.download(out.scores, scores);
  out.ids.resize(size_t(ids.size()));
  backend_.download(out.ids.data(), ids);
}

/// What must come need not be among the k best: its cross-entropy is its negative log-probability.
void TransformerSteps::score_forced(In logits, In forced, StepScores& out) {
  const Tensor loss = backend_.allocate({logits.rows()}, backend_.statistics_dtype());
  backend_.cross_entropy(loss, logits, forced, Tensor(), 0.0, ensemble_.target_vocabulary(), false);
  backend_.download(out.forced_scores, loss);
  for (double& score : out.forced_scores) score = -score;
}

WordScores TransformerSteps::total(const std::vector<Tensor>& logits) const {
  WordScores all(logits.front().rows(), ensemble_.target_vocabulary());
  for (size_t m = 0; m < logits.size(); ++m) all.add(backend_, logits[m], ensemble_.members[m].weight);
  return all;
}

void TransformerSteps::best_of(const WordScores& all, StepScores& out) const {
  out.scores.clear();
  out.ids.clear();
  for (int64_t r = 0; r < all.rows(); ++r)
    for (const ScoredWord& word : best_words(all.row(r), out.k, banned_id_)) {
      out.scores.push_back(word.score);
      out.ids.push_back(word.id);
    }
}

void TransformerSteps::draw_from(const WordScores& all, const StepRows& rows, StepScores& out) const {
  out.k = 1;
  out.scores.assign(rows.sentences.size(), -std::numeric_limits<double>::infinity());
  out.ids.assign(rows.sentences.size(), 0);
  for (size_t r = 0; r < rows.sentences.size(); ++r) {
    const int32_t sentence = rows.sentences[r] / samples_.per_sentence,
                  sample = rows.sentences[r] % samples_.per_sentence;
    const DrawPlace place{samples_.seed, samples_.numbers[size_t(sentence)], uint32_t(sample), uint32_t(rows.steps[r])};
    const auto scores = all.row(int64_t(r));
    const int32_t id = draw_word(scores, samples_.rule, banned_id_, uniform_at(place));
    if (id < 0) continue;
    out.ids[r] = id;
    out.scores[r] = double(scores[size_t(id)]);
  }
}

int64_t TransformerSteps::cache_bytes(const Ensemble& ensemble, DType dtype) {
  int64_t bytes = 0;
  for (const Ensemble::Member& member : ensemble.members) {
    const ModelOptions& options = member.transformer->options();
    if (options.has_rnn_decoder()) continue;  // two rows a slot, whatever its length
    bytes += int64_t(options.decoder_layers) * 2 * options.model_dim * int64_t(size_of(dtype));
  }
  return bytes;
}

}  // namespace bough
