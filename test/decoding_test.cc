// Incremental decoding, and translation of many sentences at once.
#include <algorithm>
#include <cmath>

#include "apps/inference/integer_block.h"
#include "apps/inference/pair_scorer.h"
#include "apps/inference/translator.h"
#include "core/cpu/levels.h"
#include "cuda/factory.h"
#include "data/vocabulary.h"
#include "test/catch.h"
#include "test/skip.h"
#include "test/small_model.h"

using namespace bough;

namespace {

/// Rows of one decoding step: sentence s uses slot 2 s in even steps and 2 s + 1 in odd ones, as if its
/// hypothesis changed places all the time.
DecoderStep step_rows(Backend& backend, const Batch& host, int32_t step, int64_t length, std::vector<int32_t>& rows) {
  std::vector<int32_t> ids, steps, slots, sentences, ancestry;
  rows.clear();
  for (int32_t s = 0; s < host.sentences(); ++s) {
    const int32_t row = host.target.offsets[size_t(s)] + step;
    if (row >= host.target.offsets[size_t(s) + 1]) continue;
    rows.push_back(row);
    ids.push_back(host.target.ids[size_t(row)]);
    steps.push_back(step);
    slots.push_back(2 * s + step % 2);
    sentences.push_back(s);
    for (int32_t t = 0; t < int32_t(length); ++t) ancestry.push_back(t <= step ? 2 * s + t % 2 : 0);
  }
  IntegerBlock block;
  const size_t a = block.add(ids), b = block.add(steps), c = block.add(slots), d = block.add(sentences),
               e = block.add(ancestry);
  block.upload(backend);
  const int64_t n = int64_t(rows.size());
  return {block.view(a, {n}), block.view(b, {n}), block.view(c, {n}), block.view(d, {n}), block.view(e, {n, length})};
}

/// The largest difference between logits step by step and logits of the teacher-forced pass, as a share of
/// the largest logit. NaN does not pass for small.
double decoding_error(const ModelOptions& options, std::unique_ptr<Backend> backend) {
  const Model model = random_model(options, *backend);
  const auto sources = random_sentences(5, 9, 60, 3), targets = random_sentences(5, 12, 60, 4);
  std::vector<SentencePair> pairs;
  for (size_t i = 0; i < sources.size(); ++i) pairs.push_back({sources[i], targets[i], int64_t(i)});
  const Batch host = pack(pairs);
  const std::vector<double> expected = forward_logits(model, host);

  Tape tape(*backend, false);
  const ModelBatch batch = upload_batch(*backend, host);
  const Var memory = model.transformer->encode(tape, batch.source);
  const int64_t length = batch.target.packing.longest;
  DecoderCache cache = model.transformer->start_decoding(memory, batch.source.packing, 2 * host.sentences(), length);
  double largest = 0, error = 0;
  for (double value : expected) largest = std::max(largest, std::abs(value));
  std::vector<int32_t> rows;
  for (int32_t step = 0; step < int32_t(length); ++step) {
    const DecoderStep input = step_rows(*backend, host, step, length, rows);
    const Tensor logits = model.transformer->step(tape, cache, input);
    const std::vector<double> found = values_of(*backend, logits);
    for (size_t r = 0; r < rows.size(); ++r)
      for (int64_t c = 0; c < options.vocab_sizes.back(); ++c) {
        const double difference = std::abs(found[r * size_t(logits.cols()) + size_t(c)] -
                                           expected[size_t(rows[r]) * size_t(logits.cols()) + size_t(c)]);
        if (!(difference <= error)) error = difference;
      }
  }
  return error / largest;
}

void check_decoding(const ModelOptions& options) {
  CHECK(decoding_error(options, make_cpu_backend(1, DType::f32)) <= 1e-5);
  CHECK(decoding_error(options, make_cpu_backend(1, DType::f64)) <= 1e-12);
}

DecodingOptions search(int beam, double normalize) {
  DecodingOptions options;
  options.beam_size = beam;
  options.normalize = normalize;
  options.max_length_factor = 2;
  return options;
}

void check_equal(const Translator::Result& a, const Translator::Result& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].tokens == b[i].tokens);
    CHECK(a[i].word_scores == b[i].word_scores);  // bit for bit
    CHECK(a[i].score == b[i].score);
  }
}

}  // namespace

TEST_CASE("incremental decoding is the teacher-forced pass", "[decoding]") {
  for (ResidualKind kind : all_residual_kinds()) DYNAMIC_SECTION("residual " << int(kind)) {
      ModelOptions options = small_options(kind);
      check_decoding(options);
      options.tied_embeddings_all = false;
      options.learned_positions = true;
      options.max_positions = 16;
      options.activation = Activation::relu;
      options.decoder_ffn_dim = 40;
      check_decoding(options);
    }
  for (ResidualKind kind : all_residual_kinds()) DYNAMIC_SECTION("recurrent decoder, residual " << int(kind)) {
      ModelOptions options = recurrent(small_options(kind));
      check_decoding(options);
      options.rnn_projection = false;
      if (kind != ResidualKind::sub_ln) check_decoding(options);
    }
  SECTION("more decoder layers than one group of cross-attention has") {
    ModelOptions options = small_options(ResidualKind::branchnorm);
    options.decoder_layers = 19;
    options.branchnorm_schedule = BranchSchedule::by_layer;
    check_decoding(options);
  }
}

TEST_CASE("incremental decoding is the teacher-forced pass on a GPU", "[decoding][cuda]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  for (ResidualKind kind : all_residual_kinds()) DYNAMIC_SECTION("residual " << int(kind)) {
      ModelOptions options = small_options(kind);
      CHECK(decoding_error(options, make_cuda_backend({.compute_dtype = DType::f32})) <= 1e-5);
      options.activation = Activation::relu;  // in the product before it
      CHECK(decoding_error(options, make_cuda_backend({.compute_dtype = DType::f32})) <= 1e-5);
      CHECK(decoding_error(recurrent(options), make_cuda_backend({.compute_dtype = DType::f32})) <= 1e-5);
    }
}

TEST_CASE("a GPU in float32 translates and scores as the CPU does", "[decoding][cuda]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto sentences = random_sentences(12, 7, 60, 11);
  TranslatorSettings settings;
  settings.batch.mini_batch = 5;
  settings.workers = 3;  // of the CPU; a GPU has one
  std::vector<std::vector<Translator::Result>> results;
  std::vector<std::vector<TokenScores>> scores;
  for (const bool is_gpu : {false, true}) {
    const auto backend = is_gpu ? make_cuda_backend({.compute_dtype = DType::f32}) : make_cpu_backend(1);
    const Model model = random_model(small_options(ResidualKind::branchnorm), *backend);
    results.push_back(Translator(*model.transformer, *backend, search(4, 0.6), settings).translate(sentences));
    WorkerBackends workers(*backend, settings.workers);
    CHECK(workers.count() == (is_gpu ? 1 : 3));
    std::vector<ScoredPair> pairs;
    for (size_t i = 0; i < sentences.size(); ++i)
      for (const Hypothesis& h : results.front()[i]) pairs.push_back({sentences[i], h.tokens});
    auto& list = scores.emplace_back();
    PairScorer{{{*model.transformer, backend.get()}}, workers, settings.batch}.run(
        [&] { return std::exchange(pairs, {}); }, [&](PairScores&& s) { list.push_back(std::move(s.tokens)); });
  }
  for (size_t i = 0; i < sentences.size(); ++i) {
    REQUIRE(results[1][i].size() == results[0][i].size());
    for (size_t n = 0; n < results[0][i].size(); ++n) {
      CHECK(results[1][i][n].tokens == results[0][i][n].tokens);
      CHECK(results[1][i][n].score == Approx(results[0][i][n].score).margin(1e-4));
    }
  }
  REQUIRE(scores[0].size() == 48);
  for (size_t i = 0; i < scores[0].size(); ++i) {
    REQUIRE(scores[1][i].size() == scores[0][i].size());
    for (size_t j = 0; j < scores[0][i].size(); ++j) CHECK(scores[1][i][j] == Approx(scores[0][i][j]).margin(1e-4));
  }
}

TEST_CASE("translations have the same bits at every level of products", "[decoding]") {
  const auto sentences = random_sentences(20, 14, 60, 11);
  TranslatorSettings settings;
  settings.batch.mini_batch = 8;
  std::vector<Translator::Result> expected;
  for (const CpuLevel level : cpu_levels()) {
    const auto backend = make_cpu_backend(1, DType::f32, level);
    const Model model = random_model(small_options(ResidualKind::pre_ln), *backend);
    const auto found = Translator(*model.transformer, *backend, search(4, 0.6), settings).translate(sentences);
    if (expected.empty()) expected = found;
    for (size_t i = 0; i < sentences.size(); ++i) {
      if (!level_is_of_all_kernels()) check_equal(found[i], expected[i]);
      CHECK(found[i][0].score == Approx(expected[i][0].score).margin(1e-4));
    }
  }
}

TEST_CASE("a sentence's translations do not depend on its batch", "[decoding]") {
  const auto backend = make_cpu_backend(1);
  auto sentences = random_sentences(70, 14, 60, 11);
  sentences[7].clear();
  for (ResidualKind kind : all_residual_kinds()) DYNAMIC_SECTION("residual " << int(kind)) {
      const Model model = random_model(small_options(kind), *backend);
      const DecodingOptions decoding = search(5, 0.6);
      TranslatorSettings one, many;
      one.batch.mini_batch = 1;
      many.batch.mini_batch = 64;
      many.batch.maxi_batch_sort = SortKind::source;
      many.workers = 2;
      Translator single(*model.transformer, *backend, decoding, one);
      Translator batched(*model.transformer, *backend, decoding, many);
      const auto expected = single.translate(sentences), found = batched.translate(sentences);
      REQUIRE(found.size() == sentences.size());
      for (size_t i = 0; i < sentences.size(); ++i) check_equal(found[i], expected[i]);
      many.batch.mini_batch_words = 100;
      many.batch.maxi_batch_sort = SortKind::none;
      const auto by_words = Translator(*model.transformer, *backend, decoding, many).translate(sentences);
      for (size_t i = 0; i < sentences.size(); ++i) check_equal(by_words[i], expected[i]);
      CHECK(found[7].size() == 1);
      CHECK(found[7][0].tokens.empty());
    }
}

TEST_CASE("a large batch is worked on in parts on the CPU", "[decoding]") {
  const auto backend = make_cpu_backend(1);
  const Model model = random_model(small_options(ResidualKind::post_ln), *backend);
  const auto sentences = random_sentences(70, 14, 60, 11);
  std::vector<int64_t> parts;
  TranslatorSettings settings;
  settings.batch.mini_batch = 64;
  settings.on_batch = [&](int64_t count, int64_t) { parts.push_back(count); };
  Translator(*model.transformer, *backend, search(4, 0.6), settings).translate(sentences);
  CHECK(parts == std::vector<int64_t>{32, 32, 6});
  parts.clear();
  Translator(*model.transformer, *backend, search(1, 0.6), settings).translate(sentences);
  CHECK(parts == std::vector<int64_t>{64, 6});
}

TEST_CASE("a few sentences that several threads share have the same bits", "[decoding]") {
  const auto backend = make_cpu_backend(1);
  const Model model = random_model(small_options(ResidualKind::post_ln), *backend);
  const auto sentences = random_sentences(2, 14, 60, 11);
  TranslatorSettings one, shared;
  shared.workers = 4;
  const auto expected = Translator(*model.transformer, *backend, search(4, 0.6), one).translate(sentences);
  const auto found = Translator(*model.transformer, *backend, search(4, 0.6), shared).translate(sentences);
  for (size_t i = 0; i < sentences.size(); ++i) check_equal(found[i], expected[i]);
}

TEST_CASE("greedy search without probabilities finds the same words", "[decoding]") {
  const auto backend = make_cpu_backend(1);
  const Model model = random_model(small_options(ResidualKind::post_ln), *backend);
  const auto sentences = random_sentences(20, 14, 60, 11);
  DecodingOptions options = search(1, 0.6);
  const auto expected = Translator(*model.transformer, *backend, options, {}).translate(sentences);
  options.skip_cost = true;
  const auto found = Translator(*model.transformer, *backend, options, {}).translate(sentences);
  size_t other_scores = 0;
  for (size_t i = 0; i < sentences.size(); ++i) {
    REQUIRE(found[i].size() == 1);
    CHECK(found[i][0].tokens == expected[i][0].tokens);
    other_scores += found[i][0].score != expected[i][0].score;
  }
  CHECK(other_scores == sentences.size());
}

TEST_CASE("a translator that consumes its models gives the same, scores and alignments of models, too", "[decoding]") {
  const auto backend = make_cpu_backend(1);
  ModelOptions options = small_options(ResidualKind::post_ln);
  options.tied_embeddings_all = false;  // the output layer may go, too
  options.model_dim = 64;
  options.ffn_dim = 256;
  const Model first = random_model(options, *backend, 1), second = random_model(options, *backend, 2);
  Ensemble both(*first.transformer);
  both.members.push_back({second.transformer.get(), 0.5});
  const auto sentences = random_sentences(10, 12, 60, 11);
  DecodingOptions decoding = search(3, 0.6);
  decoding.n_best = true;
  decoding.alignment = "soft";
  TranslatorSettings settings;
  const auto expected = Translator(both, *backend, decoding, settings).translate(sentences);
  settings.consumes_models = true;
  const auto found = Translator(both, *backend, decoding, settings).translate(sentences);
  for (size_t i = 0; i < sentences.size(); ++i) {
    check_equal(found[i], expected[i]);
    for (size_t j = 0; j < found[i].size(); ++j) {
      CHECK(found[i][j].model_scores == expected[i][j].model_scores);
      CHECK(found[i][j].alignment == expected[i][j].alignment);
    }
  }
  const std::vector<float> left = first.parameters->download(first.parameters->values());
  CHECK(std::ranges::count(left, 0.0f) > int64_t(left.size()) / 2);  // nothing read what was gone
}

TEST_CASE("translations keep to their limits and their scores are the model's", "[decoding]") {
  const auto backend = make_cpu_backend(1);
  const Model model = random_model(small_options(ResidualKind::pre_ln), *backend);
  const auto sentences = random_sentences(20, 10, 60, 21);
  const DecodingOptions decoding = search(4, 1);
  TranslatorSettings settings;
  settings.batch.mini_batch = 8;
  const auto results = Translator(*model.transformer, *backend, decoding, settings).translate(sentences);
  std::vector<ScoredPair> pairs;
  for (size_t i = 0; i < sentences.size(); ++i) {
    REQUIRE(results[i].size() == 4);
    for (const Hypothesis& h : results[i]) {
      CHECK(int64_t(h.tokens.size()) + 1 <= 2 * (int64_t(sentences[i].size()) + 1));
      CHECK(h.word_scores.size() == h.tokens.size() + 1);
      CHECK(std::count(h.tokens.begin(), h.tokens.end(), unknown_id) == 0);
      CHECK(h.score == Approx(h.log_probability / double(h.word_scores.size())).epsilon(1e-12));
      pairs.push_back({sentences[i], h.tokens});
    }
  }
  WorkerBackends workers(*backend, 2);
  std::vector<TokenScores> scores;
  const std::vector<ScoredPair> all = pairs;
  PairScorer{{{*model.transformer, backend.get()}}, workers, settings.batch}.run(
      [&] { return std::exchange(pairs, {}); }, [&](PairScores&& s) { scores.push_back(std::move(s.tokens)); });
  REQUIRE(scores.size() == all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const auto& expected = results[i / 4][i % 4].word_scores;
    REQUIRE(scores[i].size() == expected.size());
    for (size_t t = 0; t < expected.size(); ++t) CHECK(scores[i][t] == Approx(expected[t]).margin(1e-4));
  }
  // One pair alone: the same bits.
  settings.batch.mini_batch = 1;
  std::vector<ScoredPair> first = {all[0]};
  PairScorer{{{*model.transformer, backend.get()}}, workers, settings.batch}.run(
      [&] { return std::exchange(first, {}); }, [&](PairScores&& s) { CHECK(s.tokens == scores[0]); });
}

TEST_CASE("a failing worker ends the others and its exception arrives", "[decoding]") {
  const auto backend = make_cpu_backend(1);
  const Model model = random_model(small_options(ResidualKind::post_ln), *backend);
  TranslatorSettings settings;
  settings.workers = 2;
  settings.batch.mini_batch = 1;
  Translator translator(*model.transformer, *backend, search(2, 0), settings);
  int read = 0;
  CHECK_THROWS_AS(translator.run(
                      [&] {
                        return std::vector<Translator::Source>(1, Translator::Tokens{5, 6, 7});
                      },
                      [&](Translator::Result&&) {
                        if (++read == 3) fail("full");
                      }),
                  Error);
  // And it can be used again.
  CHECK(translator.translate({{5, 6}}).size() == 1);
}
