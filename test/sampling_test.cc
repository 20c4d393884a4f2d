// Drawing words, and translations made of draws.
#include "apps/inference/sampling.h"

#include <cmath>
#include <map>
#include <set>

#include "apps/inference/translator.h"
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/small_model.h"

using namespace bough;
using Words = SamplingRule::Words;

namespace {

/// How often each word is drawn at 4000 evenly spaced places of [0, 1).
std::vector<double> shares(const std::vector<float>& scores, const SamplingRule& rule, int32_t banned = -1) {
  constexpr int draws = 4000;
  auto counts = std::vector<double>(scores.size());
  for (int i = 0; i < draws; ++i) counts[size_t(draw_word(scores, rule, banned, (i + 0.5) / draws))] += 1.0 / draws;
  return counts;
}

void check_shares(const std::vector<double>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i]).margin(5e-4));
}

SamplingRule rule_of(const std::vector<std::string>& items) {
  SamplingRule rule;
  REQUIRE(parse_items(items, rule));
  return rule;
}

const std::vector<float> scores = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};

}  // namespace

TEST_CASE("words are drawn from the rule's distribution", "[sampling]") {
  check_shares(shares(scores, rule_of({"full"})), {0.1, 0.5, 0.15, 0.25});
  check_shares(shares(scores, rule_of({"topk", "2"})), {0, 0.5 / 0.75, 0, 0.25 / 0.75});
  check_shares(shares(scores, rule_of({"topk", "9"})), {0.1, 0.5, 0.15, 0.25});
  check_shares(shares(scores, rule_of({"nucleus", "0.74"})), {0, 0.5 / 0.75, 0, 0.25 / 0.75});
  check_shares(shares(scores, rule_of({"nucleus", "0.76"})), {0, 0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9});
  check_shares(shares(scores, rule_of({"nucleus", "1"})), {0.1, 0.5, 0.15, 0.25});
  check_shares(shares(scores, rule_of({"nucleus", "0.01"})), {0, 1, 0, 0});
  check_shares(shares(scores, rule_of({"epsilon", "0.12"})), {0, 0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9});
  check_shares(shares(scores, rule_of({"epsilon", "0.9"})), {0, 1, 0, 0});
  const double z = std::sqrt(0.1) + std::sqrt(0.5) + std::sqrt(0.15) + std::sqrt(0.25);  // temperature 2
  check_shares(shares(scores, rule_of({"full", "2"})),
               {std::sqrt(0.1) / z, std::sqrt(0.5) / z, std::sqrt(0.15) / z, 0.5 / z});
  check_shares(shares(scores, rule_of({"topk", "1", "5"})), {0, 1, 0, 0});
  for (const auto& cold : {rule_of({"full", "1e-39"}), rule_of({"topk", "1e30", "1e-300"}),
                           rule_of({"nucleus", "0.5", "1e-40"}), rule_of({"epsilon", "0.5", "1e-40"})})
    check_shares(shares(scores, cold), {0, 1, 0, 0});
  // A word that may not come has no share in anything.
  check_shares(shares(scores, rule_of({"full"}), 1), {0.2, 0, 0.3, 0.5});
  check_shares(shares(scores, rule_of({"nucleus", "0.45"}), 1), {0, 0, 0, 1});
  const std::vector<float> nothing(3, -INFINITY), broken(3, NAN);
  CHECK(draw_word(nothing, rule_of({"full"}), -1, 0.5) == -1);
  CHECK(draw_word(broken, rule_of({"nucleus", "0.5"}), -1, 0.5) == -1);
  CHECK(draw_word(scores, rule_of({"full"}), -1, 0) == 0);
  CHECK(draw_word(scores, rule_of({"full"}), -1, std::nextafter(1.0, 0.0)) == 3);
}

TEST_CASE("a large nucleus is the smallest set of that probability", "[sampling]") {
  std::vector<float> many;
  for (int i = 0; i < 500; ++i) many.push_back(-0.02f * float((i * 37) % 500));
  double total = 0, sum = 0;
  for (float score : many) total += std::exp(double(score));
  std::vector<double> expected(500);
  std::vector<size_t> kept;
  for (size_t rank = 0; sum < 0.9 * total; ++rank) {
    size_t at = 0;
    while ((at * 37) % 500 != rank) ++at;
    kept.push_back(at);
    sum += std::exp(-0.02 * double(rank));
  }
  for (size_t at : kept) expected[at] = std::exp(double(many[at])) / sum;
  check_shares(shares(many, rule_of({"nucleus", "0.9"})), expected);
}

TEST_CASE("sampling rules are read and written", "[sampling]") {
  SamplingRule rule;
  for (const std::vector<std::string>& none : {std::vector<std::string>{}, {"false"}}) {
    CHECK(parse_items(none, rule));
    CHECK_FALSE(bool(rule));
    CHECK(format_items(rule).empty());
  }
  CHECK(format_items(rule_of({"true"})) == std::vector<std::string>{"full", "1"});
  CHECK(format_items(rule_of({"topk", "10", "0.5"})) == std::vector<std::string>{"topk", "10", "0.5"});
  CHECK(format_items(rule_of({"nucleus", "0.9"})) == std::vector<std::string>{"nucleus", "0.9", "1"});
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"topk"},
                                                {"topk", "0"},
                                                {"topk", "2.5"},
                                                {"topk", "-1"},
                                                {"nucleus", "0"},
                                                {"nucleus", "1.1"},
                                                {"nucleus"},
                                                {"epsilon", "x"},
                                                {"full", "0"},
                                                {"full", "-1"},
                                                {"full", "1", "1"},
                                                {"beam", "3"},
                                                {"topk", "3", "nan"},
                                                {"full", "inf"}})
    CHECK_FALSE(parse_items(wrong, rule));
}

TEST_CASE("numbers of draws are even, and functions of their place", "[sampling]") {
  double sum = 0;
  std::set<double> seen;
  for (int64_t sentence = 0; sentence < 50; ++sentence)
    for (uint32_t sample = 0; sample < 5; ++sample)
      for (uint32_t position = 0; position < 8; ++position) {
        const double u = uniform_at({7, sentence, sample, position});
        CHECK((u >= 0 && u < 1));
        sum += u;
        seen.insert(u);
      }
  CHECK(seen.size() == 2000);
  CHECK(sum / 2000 == Approx(0.5).margin(0.02));
  CHECK(uniform_at({7, 3, 1, 2}) == uniform_at({7, 3, 1, 2}));
  CHECK(uniform_at({8, 3, 1, 2}) != uniform_at({7, 3, 1, 2}));
}

TEST_CASE("samples do not depend on batches, and are the model's", "[sampling]") {
  const auto backend = make_cpu_backend(1);
  const Model model = random_model(small_options(ResidualKind::pre_ln), *backend);
  auto sentences = random_sentences(40, 9, 60, 21);
  sentences[5].clear();
  DecodingOptions options;
  options.sampling = rule_of({"full"});
  options.seed = 3;
  options.beam_size = 4;
  options.n_best = true;
  options.max_length_factor = 2;
  TranslatorSettings one, many;
  one.batch.mini_batch = 1;
  many.batch.mini_batch = 16;
  many.batch.maxi_batch_sort = SortKind::source;
  many.workers = 2;
  const auto sample = [&](const DecodingOptions& with, const TranslatorSettings& settings) {
    return Translator(*model.transformer, *backend, with, settings).translate(sentences);
  };
  const auto expected = sample(options, one), found = sample(options, many);
  int different = 0;
  for (size_t i = 0; i < sentences.size(); ++i) {
    REQUIRE(found[i].size() == (i == 5 ? 1u : 4u));
    for (size_t h = 0; h < found[i].size(); ++h) {
      CHECK(found[i][h].tokens == expected[i][h].tokens);
      CHECK(found[i][h].word_scores == expected[i][h].word_scores);
      CHECK(std::count(found[i][h].tokens.begin(), found[i][h].tokens.end(), unknown_id) == 0);
      different += found[i][h].tokens != found[i][0].tokens;
    }
  }
  CHECK(different > 100);
  options.n_best = false;  // the first of them
  const auto single = sample(options, many);
  for (size_t i = 0; i < sentences.size(); ++i) {
    REQUIRE(single[i].size() == 1);
    CHECK(single[i][0].tokens == expected[i][0].tokens);
  }
  options.seed = 4;
  CHECK(sample(options, many)[0][0].tokens != single[0][0].tokens);

  options.sampling = rule_of({"topk", "1"});  // greedy search
  DecodingOptions greedy = options;
  greedy.sampling = {};
  greedy.beam_size = 1;
  const auto drawn = sample(options, many), searched = sample(greedy, many);
  for (size_t i = 0; i < sentences.size(); ++i) CHECK(drawn[i][0].tokens == searched[i][0].tokens);
}

TEST_CASE("words are drawn as often as the model says", "[sampling]") {
  const auto backend = make_cpu_backend(1);
  const Model model = random_model(small_options(ResidualKind::post_ln), *backend);
  DecodingOptions options;
  options.sampling = rule_of({"full"});
  options.beam_size = 4000;
  options.n_best = true;
  options.allow_unk = true;
  options.max_length_factor = 1;
  const std::vector<int32_t> sentence = {7, 9};
  const auto samples = Translator(*model.transformer, *backend, options, {}).translate({sentence})[0];
  std::map<int32_t, double> shares;
  std::map<int32_t, double> probabilities;
  for (const Hypothesis& h : samples) {
    const int32_t first = h.tokens.empty() ? end_id : h.tokens[0];
    shares[first] += 1.0 / 4000;
    probabilities[first] = std::exp(h.word_scores[0]);
  }
  for (const auto& [word, share] : shares) CHECK(share == Approx(probabilities[word]).margin(0.03));
}
