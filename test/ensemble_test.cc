// Models that translate and score together.
#include "apps/inference/ensemble.h"

#include <cmath>
#include <numeric>

#include "apps/inference/model_scorer.h"
#include "apps/inference/pair_scorer.h"
#include "apps/inference/translate_command.h"
#include "apps/inference/translator.h"
#include "apps/inference/word_scores.h"
#include "core/base/files.h"
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/file_lines.h"
#include "test/scratch_folder.h"
#include "test/small_model.h"
#include "test/throws.h"

using namespace bough;
using Catch::Matchers::Contains;

namespace {

/// Another depth, width, residual kind and seed than small_options'.
ModelOptions deep_options() {
  ModelOptions options = small_options(ResidualKind::pre_ln);
  options.model_dim = 24;
  options.decoder_layers = 5;
  options.tied_embeddings_all = false;
  return options;
}

/// Two models that have nothing but their vocabularies in common.
struct Pair {
  explicit Pair(DType dtype = DType::f32)
      : backend(make_cpu_backend(1, dtype)),
        first(random_model(small_options(ResidualKind::branchnorm), *backend, 1)),
        second(random_model(deep_options(), *backend, 2)) {}

  Ensemble ensemble(double first_weight, double second_weight) const {
    Ensemble both;
    both.members = {{first.transformer.get(), first_weight}, {second.transformer.get(), second_weight}};
    return both;
  }
  std::vector<TokenScores> scores(const Ensemble& ensemble, std::vector<ScoredPair> pairs) const {
    WorkerBackends workers(*backend, 2);
    std::vector<TokenScores> all;
    PairScorer{{{ensemble, backend.get()}}, workers, BatchOptions()}.run(
        [&] { return std::exchange(pairs, {}); }, [&](PairScores&& s) { all.push_back(std::move(s.tokens)); });
    return all;
  }

  std::unique_ptr<Backend> backend;
  Model first, second;
};

DecodingOptions search(int beam) {
  DecodingOptions options;
  options.beam_size = beam;
  options.normalize = 0.6;
  options.max_length_factor = 2;
  return options;
}

/// log softmax of one row of logits.
std::vector<double> log_probabilities(const std::vector<double>& logits, size_t row, size_t columns,
                                      size_t vocabulary) {
  const auto begin = logits.begin() + std::ptrdiff_t(row * columns);
  std::vector<double> values(begin, begin + std::ptrdiff_t(vocabulary));
  double sum = 0;
  for (double x : values) sum += std::exp(x);
  for (double& x : values) x -= std::log(sum);
  return values;
}

double sum_of(const TokenScores& scores) { return std::accumulate(scores.begin(), scores.end(), 0.0); }

}  // namespace

TEST_CASE("an ensemble's greedy translation has the best word of the weighted sum at every step", "[ensemble]") {
  for (DType dtype : {DType::f32, DType::f64}) {
    const Pair pair(dtype);
    const auto sentences = random_sentences(6, 9, 60, 3);
    const auto results = Translator(pair.ensemble(0.25, 0.75), *pair.backend, search(1), {}).translate(sentences);
    for (size_t i = 0; i < sentences.size(); ++i) {
      REQUIRE(results[i].size() == 1);
      const Hypothesis& found = results[i][0];
      const Batch batch = pack(std::vector<SentencePair>{{sentences[i], found.tokens, 0}});
      const auto logits_a = forward_logits(pair.first, batch), logits_b = forward_logits(pair.second, batch);
      const size_t rows = found.tokens.size() + 1, columns = logits_a.size() / rows;
      for (size_t t = 0; t < rows; ++t) {
        const auto a = log_probabilities(logits_a, t, columns, 60), b = log_probabilities(logits_b, t, columns, 60);
        std::vector<double> both;
        for (size_t v = 0; v < 60; ++v) both.push_back(0.25 * a[v] + 0.75 * b[v]);
        const size_t word = t + 1 < rows ? size_t(found.tokens[t]) : size_t(end_id);
        CHECK(found.word_scores[t] == Approx(both[word]).margin(1e-4));
        both[size_t(unknown_id)] = -INFINITY;
        const bool is_at_limit = t + 1 == 2 * (sentences[i].size() + 1);
        if (!is_at_limit) CHECK(both[word] >= *std::max_element(both.begin(), both.end()) - 1e-5);
      }
    }
  }
}

TEST_CASE("scores of an ensemble are weighted sums, in searching and in scoring", "[ensemble]") {
  const Pair pair;
  const auto sentences = random_sentences(12, 9, 60, 4);
  DecodingOptions options = search(4);
  options.n_best = true;
  TranslatorSettings settings;
  settings.batch.mini_batch = 5;
  const Ensemble both = pair.ensemble(1, 0.5);
  const auto results = Translator(both, *pair.backend, options, settings).translate(sentences);
  std::vector<ScoredPair> pairs;
  for (size_t i = 0; i < sentences.size(); ++i)
    for (const Hypothesis& h : results[i]) pairs.push_back({sentences[i], h.tokens});
  const auto a = pair.scores(*pair.first.transformer, pairs), b = pair.scores(*pair.second.transformer, pairs),
             together = pair.scores(both, pairs);
  size_t n = 0;
  for (const auto& result : results)
    for (const Hypothesis& h : result) {
      for (size_t t = 0; t < a[n].size(); ++t) CHECK(together[n][t] == Approx(a[n][t] + 0.5 * b[n][t]).epsilon(1e-12));
      CHECK(h.log_probability == Approx(sum_of(together[n])).margin(1e-3));
      REQUIRE(h.model_scores.size() == 2);
      CHECK(h.model_scores[0] == Approx(sum_of(a[n])).margin(1e-4));
      CHECK(h.model_scores[1] == Approx(sum_of(b[n])).margin(1e-4));
      ++n;
    }
  REQUIRE(n == a.size());
  settings.cache_bytes = 1;  // every sentence, and every hypothesis that is scored, is a batch
  const auto alone = Translator(both, *pair.backend, options, settings).translate(sentences);
  for (size_t i = 0; i < sentences.size(); ++i)
    for (size_t h = 0; h < alone[i].size(); ++h) {
      CHECK(alone[i][h].tokens == results[i][h].tokens);
      CHECK(alone[i][h].score == results[i][h].score);  // bit for bit
      CHECK(alone[i][h].model_scores == results[i][h].model_scores);
    }
}

TEST_CASE("a model twice is the model", "[ensemble]") {
  const Pair pair;
  const auto sentences = random_sentences(10, 9, 60, 5);
  Ensemble twice(*pair.first.transformer);
  twice.members.push_back(twice.members[0]);
  for (Ensemble::Member& member : twice.members) member.weight = 0.5;
  const auto expected = Translator(*pair.first.transformer, *pair.backend, search(5), {}).translate(sentences);
  const auto found = Translator(twice, *pair.backend, search(5), {}).translate(sentences);
  for (size_t i = 0; i < sentences.size(); ++i)
    for (size_t h = 0; h < expected[i].size(); ++h) {
      CHECK(found[i][h].tokens == expected[i][h].tokens);
      CHECK(found[i][h].score == Approx(expected[i][h].score).margin(1e-4));
    }
}

TEST_CASE("the best words of a row", "[ensemble]") {
  const std::vector<float> scores{-3, -1, -2, -1, -INFINITY};
  const auto ids = [](const std::vector<ScoredWord>& words) {
    std::vector<int32_t> all;
    for (const ScoredWord& word : words) all.push_back(word.id);
    return all;
  };
  CHECK(ids(best_words(scores, 3, -1)) == std::vector<int32_t>{1, 3, 2});
  CHECK(ids(best_words(scores, 2, 1)) == std::vector<int32_t>{3, 2});
  CHECK(ids(best_words(scores, 9, -1)) == std::vector<int32_t>{1, 3, 2, 0, 4});
}

TEST_CASE("ensembles from files: n-best features, rescoring, and what does not fit", "[ensemble]") {
  const ScratchFolder folder;
  std::string words = "</s>\n<unk>\n";
  for (int id = 2; id < 60; ++id) words += fmt::format("w{}\n", id);
  write_file(folder / "words", words);
  const Pair pair;
  const auto save = [&](const std::string& name, const ModelOptions& options, const Model& model) {
    save_model(folder / name, options, *model.parameters, model.parameters->values());
  };
  save("a.npz", pair.first.options, pair.first);
  save("b.npz", pair.second.options, pair.second);
  write_file(folder / "source", "w5 w6 w7\n\nw8 w9\n");

  TranslateOptions options;
  options.decoding = search(3);
  options.decoding.quiet_translation = options.decoding.n_best = true;
  options.models = {folder / "a.npz", folder / "b.npz"};
  options.weights = {0.4, 0.6};
  options.vocabulary.paths = {folder / "words", folder / "words"};
  options.input = {folder / "source"};
  options.output = folder / "list";
  run_translate(options);
  const auto list = lines_of(folder / "list");
  REQUIRE(list.size() == 7);
  CHECK(list[3] == "1 |||  ||| F0= 0 F1= 0 ||| 0");

  ModelScorerOptions scoring;
  scoring.models = options.models;
  scoring.weights = options.weights;
  scoring.vocabulary = options.vocabulary;
  scoring.corpus.train_sets = {folder / "source", folder / "list"};
  scoring.n_best = true;
  scoring.output = folder / "scored";
  run_model_scorer(scoring);
  const auto scored = lines_of(folder / "scored");
  REQUIRE(scored.size() == list.size());
  const auto number_behind = [](const std::string& line, const std::string& name) {
    return std::stod(line.substr(line.find(name) + name.size()));
  };
  for (size_t i = 0; i < list.size(); ++i) {
    if (i == 3) continue;  // the empty line: the search gives it 0
    const double a = number_behind(list[i], "F0= "), b = number_behind(list[i], "F1= ");
    CHECK(number_behind(scored[i], "Score= ") == Approx(0.4 * a + 0.6 * b).margin(1e-3));
  }

  ModelOptions other = pair.second.options;
  other.vocab_sizes = {60, 50};
  save("small.npz", other, random_model(other, *pair.backend));
  options.models[1] = folder / "small.npz";
  CHECK_THAT(message_of([&] { run_translate(options); }),
             Contains("small.npz' has vocabularies of 60 and 50 words") && Contains("a.npz' of 60 and 60"));
  other = pair.second.options;
  other.right_left = true;
  save("back.npz", other, random_model(other, *pair.backend));
  scoring.models[1] = folder / "back.npz";
  CHECK_THAT(message_of([&] { run_model_scorer(scoring); }), Contains("from right to left"));
}

TEST_CASE("models and weights of an ensemble are checked", "[ensemble]") {
  const auto message = [](const std::vector<std::string>& models, const std::vector<double>& weights) {
    return message_of([&] { check_models("models", models, weights); });
  };
  CHECK(message({"a.npz", "b.npz"}, {}) == "no exception");
  CHECK(message({"a.npz", "b.npz"}, {0, 1}) == "no exception");
  CHECK_THAT(message({}, {}), Contains("models is empty"));
  CHECK_THAT(message({"a.npz", "b.model"}, {}), Contains("models is 'b.model', must end in .npz"));
  CHECK_THAT(message({"a.npz", "b.npz"}, {1}), Contains("weights has 1 number, must have 2"));
  CHECK_THAT(message({"a.npz"}, {1, 2, 3}), Contains("weights has 3 numbers, must have 1"));
  CHECK_THAT(message({"a.npz", "b.npz"}, {0, 0}), Contains("weights are all 0"));
}
