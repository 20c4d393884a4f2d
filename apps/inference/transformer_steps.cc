#include "apps/inference/transformer_steps.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "apps/inference/integer_block.h"
#include "apps/inference/model_batch.h"
#include "core/base/rounding.h"

namespace bough {
namespace {

DecoderStep upload_rows(Backend& backend, const StepRows& rows, const std::vector<int32_t>& forced_columns,
                        int32_t rows_per_sentence, Tensor& forced) {
  IntegerBlock block;
  std::vector<int32_t> source = rows.sentences;
  for (int32_t& sentence : source) sentence /= rows_per_sentence;
  const size_t ids = block.add(rows.ids), steps = block.add(rows.steps), slots = block.add(rows.slots),
               sentences = block.add(source), ancestry = block.add(rows.ancestry), labels = block.add(forced_columns);
  block.upload(backend);
  const int64_t count = rows.count();
  forced = block.view(labels, {count});
  return {block.view(ids, {count}), block.view(steps, {count}), block.view(slots, {count}),
          block.view(sentences, {count}), block.view(ancestry, {count, rows.length})};
}

}  // namespace

TransformerSteps::TransformerSteps(const Ensemble& ensemble, Backend& backend, const Batch& source,
                                   std::span<const int64_t> limits, int beam_size, int32_t banned_id,
                                   SampledBatch samples, ListedWords lists, bool skips_softmax)
    : ensemble_(ensemble),
      backend_(backend),
      banned_id_(banned_id),
      samples_(std::move(samples)),
      lists_(std::move(lists)),
      skips_softmax_(skips_softmax),
      tape_(backend, false) {
  const ModelBatch batch = upload_batch(backend, source);
  if (!lists_.empty()) {
    upload_lists();
    banned_id_ = -1;  // no list has it
  }
  const int64_t slots = int64_t(limits.size()) * beam_size, longest = *std::max_element(limits.begin(), limits.end());
  for (const Ensemble::Member& member : ensemble.members) {
    const Var memory = member.transformer->encode(tape_, batch.source);
    caches_.push_back(member.transformer->start_decoding(memory, batch.source.packing, slots, longest));
  }
}

void TransformerSteps::upload_lists() {
  std::vector<int32_t> offsets{0}, ids;
  for (const std::vector<int32_t>& list : lists_) {
    ids.insert(ids.end(), list.begin(), list.end());
    offsets.push_back(int32_t(ids.size()));
    device_lists_.longest = std::max(device_lists_.longest, int64_t(list.size()));
  }
  // Probabilities are summed in vector registers: whole ones, or the order of a row's sum depends on the longest list.
  device_lists_.longest = round_up(device_lists_.longest, 64);
  IntegerBlock block;
  const size_t first = block.add(offsets), words = block.add(ids);
  block.upload(backend_);
  device_lists_.offsets = block.view(first, {int64_t(offsets.size())});
  device_lists_.ids = block.view(words, {int64_t(ids.size())});
}

/// Where the words that must come stand in the logits; -1, as for rows that are free, for a word that no list may have.
std::vector<int32_t> TransformerSteps::forced_columns(const StepRows& rows) const {
  std::vector<int32_t> columns = rows.forced;
  if (lists_.empty()) return columns;
  for (size_t r = 0; r < columns.size(); ++r) {
    if (columns[r] < 0) continue;
    const std::vector<int32_t>& list = list_of(rows, r);
    const auto found = std::ranges::lower_bound(list, columns[r]);
    columns[r] = found != list.end() && *found == columns[r] ? int32_t(found - list.begin()) : -1;
  }
  return columns;
}

/// The words that columns of the logits stand for; a column beyond a list stands for none.
void TransformerSteps::name_words(const StepRows& rows, StepScores& out) const {
  if (lists_.empty()) return;
  for (size_t i = 0; i < out.ids.size(); ++i) {
    const std::vector<int32_t>& list = list_of(rows, i / size_t(out.k));
    const bool is_listed = size_t(out.ids[i]) < list.size();
    out.ids[i] = list[is_listed ? size_t(out.ids[i]) : 0];
    if (!is_listed) out.scores[i] = -std::numeric_limits<double>::infinity();
  }
}

void TransformerSteps::step(const StepRows& rows, int64_t k, StepScores& out) {
  Tensor forced;
  const std::vector<int32_t> forced_at = forced_columns(rows);
  const DecoderStep input = upload_rows(backend_, rows, forced_at, samples_.per_sentence, forced);
  out.k = std::min(k, columns() - int64_t(banned_id_ >= 0 && banned_id_ < columns()));
  std::vector<Tensor> logits;
  for (size_t m = 0; m < caches_.size(); ++m)
    logits.push_back(ensemble_.members[m].transformer->step(tape_, caches_[m], input, device_lists_));
  if (ensemble_.is_one_model() && !samples_.rule) {
    out.scores.clear();
    out.ids.clear();
    const bool has_free = std::ranges::any_of(rows.forced, [](int32_t word) { return word < 0; });
    if (has_free) best_of_one(logits.front(), out);
    if (rows.has_forced) score_forced(logits.front(), forced, out);
    return name_words(rows, out);
  }
  const WordScores all = total(logits);
  samples_.rule ? draw_from(all, rows, out) : best_of(all, out);
  out.forced_scores.assign(rows.forced.size(), 0.0);
  for (size_t r = 0; r < rows.forced.size(); ++r)
    if (forced_at[r] >= 0) out.forced_scores[r] = double(all.row(int64_t(r))[size_t(forced_at[r])]);
  name_words(rows, out);
}

void TransformerSteps::best_of_one(In logits, StepScores& out) {
  const Tensor scores = backend_.allocate({logits.rows(), out.k}, backend_.statistics_dtype());
  const Tensor ids = backend_.allocate({logits.rows(), out.k}, DType::i32);
  backend_.log_softmax_top_k(scores, ids, logits, columns(), out.k, int64_t(banned_id_), skips_softmax_);
  backend_.download(out.scores, scores);
  out.ids.resize(size_t(ids.size()));
  backend_.download(out.ids.data(), ids);
}

/// What must come need not be among the k best: its cross-entropy is its negative log-probability.
void TransformerSteps::score_forced(In logits, In forced, StepScores& out) {
  out.forced_scores.assign(size_t(logits.rows()), 0.0);
  if (skips_softmax_) return;
  const Tensor loss = backend_.allocate({logits.rows()}, backend_.statistics_dtype());
  backend_.cross_entropy(loss, logits, forced, Tensor(), 0.0, columns(), false);
  backend_.download(out.forced_scores, loss);
  for (double& score : out.forced_scores) score = 0 - score;  // 0, not -0, for what costs nothing
}

WordScores TransformerSteps::total(const std::vector<Tensor>& logits) const {
  WordScores all(logits.front().rows(), columns());
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
