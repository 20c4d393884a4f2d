#include "apps/inference/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/base/random.h"
#include "data/vocabulary.h"
#include "test/catch.h"

using namespace bough;

namespace {

using Prefix = std::vector<int32_t>;

/// log p(token | prefix) of sentence s: pseudo-random, a function of all of them.
double toy_score(int32_t sentence, const Prefix& prefix, int32_t token, int32_t vocabulary) {
  uint64_t key = uint64_t(sentence) + 17;
  for (int32_t id : prefix) key = key * 31 + uint64_t(id) + 5;
  std::vector<double> logits;
  double sum = 0;
  for (int32_t v = 0; v < vocabulary; ++v) {
    logits.push_back(4 * RandomStream(key, uint64_t(v)).uniform());
    sum += std::exp(logits.back());
  }
  return logits[size_t(token)] - std::log(sum);
}

/// A model that remembers prefixes as a Transformer remembers keys and values: by slot and step.
class ToyModel : public StepModel {
 public:
  explicit ToyModel(int32_t vocabulary) : vocabulary_(vocabulary) {}
  void step(const StepRows& rows, int64_t k, StepScores& out) override {
    out = {.k = std::min<int64_t>(k, vocabulary_)};
    rows_seen.push_back(rows.count());
    CHECK(rows.ancestry.size() == size_t(rows.count() * (rows.steps[0] + 1)));  // no column before its step
    for (size_t r = 0; r < rows.ids.size(); ++r) {
      memory_[{rows.slots[r], rows.steps[r]}] = rows.ids[r];
      Prefix prefix;
      for (int32_t t = 1; t <= rows.steps[r]; ++t)
        prefix.push_back(memory_.at({rows.ancestry[r * size_t(rows.length) + size_t(t)], t}));
      std::vector<std::pair<double, int32_t>> all;
      for (int32_t v = 0; v < vocabulary_; ++v)
        all.push_back({-toy_score(rows.sentences[r] + first_sentence, prefix, v, vocabulary_), v});
      out.forced_scores.push_back(rows.forced[r] < 0 ? std::nan("") : -all[size_t(rows.forced[r])].first);
      std::sort(all.begin(), all.end());
      for (int64_t c = 0; c < out.k; ++c) {
        out.scores.push_back(-all[size_t(c)].first);
        out.ids.push_back(all[size_t(c)].second);
      }
    }
  }
  int32_t first_sentence = 0;
  std::vector<int64_t> rows_seen;

 private:
  int32_t vocabulary_;
  std::map<std::pair<int32_t, int32_t>, int32_t> memory_;
};

/// Every complete hypothesis of at most `limit` tokens, best first.
std::vector<Hypothesis> exhaustive(int32_t sentence, int32_t vocabulary, int64_t limit,
                                   const DecodingOptions& options) {
  std::vector<Hypothesis> complete, open(1);
  for (int64_t length = 1; length <= limit; ++length) {
    std::vector<Hypothesis> next;
    for (const Hypothesis& h : open)
      for (int32_t v = 0; v < vocabulary; ++v) {
        Hypothesis g = h;
        g.word_scores.push_back(toy_score(sentence, h.tokens, v, vocabulary));
        g.log_probability += g.word_scores.back();
        if (v != end_id) g.tokens.push_back(v);
        g.score = hypothesis_score(g.log_probability, length, options);
        (v == end_id ? complete : next).push_back(g);
      }
    open = next;
  }
  std::stable_sort(complete.begin(), complete.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  return complete;
}

DecodingOptions decoding(int beam, double normalize = 0, double word_penalty = 0) {
  DecodingOptions options;
  options.beam_size = beam;
  options.normalize = normalize;
  options.word_penalty = word_penalty;
  return options;
}

}  // namespace

TEST_CASE("a beam wide enough finds what exhaustive search finds", "[beam]") {
  const int32_t vocabulary = 4;
  for (double normalize : {0.0, 0.6, 1.0})
    for (double penalty : {0.0, 0.3, -0.5}) {
      const auto options = decoding(400, normalize, penalty);  // more than all 1 + 3 + ... + 3^4
      const std::vector<int64_t> limits = {1, 3, 5};
      ToyModel model(vocabulary);
      const auto found = beam_search(model, limits, options);
      for (size_t s = 0; s < limits.size(); ++s) {
        const auto all = exhaustive(int32_t(s), vocabulary, limits[s], options);
        INFO("normalize " << normalize << " penalty " << penalty << " sentence " << s);
        REQUIRE(found[s].size() == all.size());
        for (size_t i = 0; i < all.size(); ++i) {
          CHECK(found[s][i].tokens == all[i].tokens);
          CHECK(found[s][i].word_scores == all[i].word_scores);
          CHECK(found[s][i].score == Approx(all[i].score).epsilon(1e-12));
        }
      }
    }
}

TEST_CASE("a beam of 1 is greedy", "[beam]") {
  const int32_t vocabulary = 6;
  for (int32_t sentence = 0; sentence < 20; ++sentence) {
    Prefix greedy;
    for (;;) {
      int32_t best = 0;
      for (int32_t v = 1; v < vocabulary; ++v)
        if (toy_score(sentence, greedy, v, vocabulary) > toy_score(sentence, greedy, best, vocabulary)) best = v;
      if (best == end_id || greedy.size() == 8) break;
      greedy.push_back(best);
    }
    ToyModel model(vocabulary);
    model.first_sentence = sentence;
    const int64_t limit = 9;
    const auto found = beam_search(model, {&limit, 1}, decoding(1, 1.0));
    REQUIRE(found[0].size() == 1);
    CHECK(found[0][0].tokens == greedy);
  }
}

TEST_CASE("batch mates and finished sentences do not matter", "[beam]") {
  const auto options = decoding(3, 0.7);
  const std::vector<int64_t> limits = {4, 12, 1, 7, 9, 20};
  ToyModel together(9);
  const auto batch = beam_search(together, limits, options);
  for (size_t s = 0; s < limits.size(); ++s) {
    ToyModel alone(9);
    alone.first_sentence = int32_t(s);
    const auto single = beam_search(alone, {&limits[s], 1}, options)[0];
    REQUIRE(single.size() == batch[s].size());
    CHECK(int64_t(single[0].tokens.size()) < limits[s]);
    for (size_t i = 0; i < single.size(); ++i) {
      CHECK(single[i].tokens == batch[s][i].tokens);
      CHECK(single[i].score == batch[s][i].score);
    }
  }
  // Finished sentences leave: no step has more rows than hypotheses that live.
  CHECK(together.rows_seen.front() == 6);
  CHECK(together.rows_seen[1] <= 5 * 3);
  CHECK(std::is_sorted(together.rows_seen.rbegin(), together.rows_seen.rend() - 1));
}

TEST_CASE("forced beginnings: what exhaustive search finds among the translations that begin so", "[beam]") {
  const int32_t vocabulary = 4;
  const auto options = decoding(400, 0.6);
  const std::vector<int64_t> limits = {5, 5, 3, 4};
  const std::vector<Prefix> prefixes = {{}, {2, 1}, {3, 3}, {1}};
  ToyModel model(vocabulary);
  const auto found = beam_search(model, limits, options, prefixes);
  for (size_t s = 0; s < limits.size(); ++s) {
    auto all = exhaustive(int32_t(s), vocabulary, limits[s], options);
    std::erase_if(all, [&](const Hypothesis& h) {
      return h.tokens.size() < prefixes[s].size() ||
             !std::equal(prefixes[s].begin(), prefixes[s].end(), h.tokens.begin());
    });
    REQUIRE(found[s].size() == all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      CHECK(found[s][i].tokens == all[i].tokens);
      CHECK(found[s][i].word_scores == all[i].word_scores);  // also of the forced words
      CHECK(found[s][i].score == Approx(all[i].score).epsilon(1e-12));
    }
  }
}

TEST_CASE("lengths are limited per sentence, end of sentence included", "[beam]") {
  DecodingOptions options;
  options.max_length_factor = 1.5;
  CHECK(length_limit(5, options) == 7);
  CHECK(length_limit(1, options) == 1);
  options.max_length_factor = 0.1;
  CHECK(length_limit(5, options) == 1);
}

TEST_CASE("a model without finite scores gives no hypotheses", "[beam]") {
  struct Broken : StepModel {
    void step(const StepRows& rows, int64_t, StepScores& out) override {
      out = {.k = 1};
      out.scores.assign(rows.ids.size(), std::nan(""));
      out.ids.assign(rows.ids.size(), 2);
      out.forced_scores.assign(rows.ids.size(), -std::numeric_limits<double>::infinity());
    }
  } model;
  const int64_t limit = 5;
  CHECK(beam_search(model, {&limit, 1}, decoding(2))[0].empty());
}
