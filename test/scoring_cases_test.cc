// Scores and statistics against sacreBLEU's: test/scoring_cases.
#include <cmath>

#include "core/base/error.h"
#include "data/metrics/metric.h"
#include "data/metrics/numpy_random.h"
#include "data/metrics/significance.h"
#include "test/catch.h"
#include "test/scoring_files.h"

using namespace scoring;

namespace {

struct Case {
  std::string name;
  json expected;
  Metric metric;
  std::vector<std::string> hypotheses;
  std::vector<std::vector<std::string>> references;
};

Case read_case(const fs::path& folder) {
  Case c{folder.filename(), read_json(folder / "expected.json"), {}, {}, {}};
  c.metric = metric_of(c.expected);
  c.hypotheses = read_lines(folder / "hyp.txt");
  for (const char* name : {"ref.txt", "ref1.txt", "ref2.txt", "ref3.txt"})
    if (fs::exists(folder / name)) c.references.push_back(read_lines(folder / name));
  return c;
}

std::vector<Case> read_cases() {
  std::vector<Case> all;
  for (const auto& entry : fs::directory_iterator(cases()))
    if (fs::exists(entry.path() / "expected.json")) all.push_back(read_case(entry.path()));
  return all;
}

bool near(double value, double expected, double tolerance) { return std::abs(value - expected) <= tolerance; }

void check_bleu_parts(const Case& c, const StatisticsTable& segments) {
  const auto& options = std::get<BleuOptions>(c.metric);
  const BleuScore bleu = bleu_from(segments.sum(), options);
  CHECK(bleu.matches == c.expected["counts"].get<std::vector<double>>());
  CHECK(bleu.totals == c.expected["totals"].get<std::vector<double>>());
  CHECK(bleu.hypothesis_length == c.expected["sys_len"].get<double>());
  CHECK(bleu.reference_length == c.expected["ref_len"].get<double>());
  CHECK(near(bleu.brevity_penalty, c.expected["bp"].get<double>(), 1e-12));
  CHECK(details(bleu) == c.expected["verbose"].get<std::string>());
}

}  // namespace

TEST_CASE("every case has sacreBLEU's score to 1e-9 and its signature", "[scoring]") {
  const std::vector<Case> all = read_cases();
  CHECK(all.size() == 218);
  for (const Case& c : all) {
    INFO(c.name);
    const StatisticsTable segments = count_segments(c.hypotheses, c.references, c.metric);
    SignatureContext context{c.references.size(), c.expected.value("n_bootstrap", 0), 0, "12345"};
    const auto items = signature(c.metric, context);
    CHECK(to_string(items) == c.expected["signature"].get<std::string>());
    CHECK(to_string(items, true) == c.expected["signature_short"].get<std::string>());
    CHECK(score_name(c.metric) == c.expected["name"].get<std::string>());
    if (c.expected.contains("sentence_scores")) {
      const auto expected = c.expected["sentence_scores"].get<std::vector<double>>();
      REQUIRE(segments.rows() == expected.size());
      for (size_t i = 0; i < expected.size(); ++i) {
        INFO("segment " << i);
        CHECK(near(score_from(segments.row(i), c.metric), expected[i], 1e-9));
      }
      continue;
    }
    CHECK(near(score_from(segments.sum(), c.metric), c.expected["score"].get<double>(), 1e-9));
    if (c.expected.contains("counts")) check_bleu_parts(c, segments);
    if (c.expected.contains("confidence_mean")) {
      const Confidence confidence = bootstrap_confidence(segments, c.metric, {context.bootstrap_samples});
      CHECK(near(confidence.mean, c.expected["confidence_mean"].get<double>(), 1e-5));
      CHECK(near(confidence.half_width, c.expected["confidence_var"].get<double>(), 1e-5));
    }
  }
}

TEST_CASE("BLEU from given statistics", "[scoring]") {
  for (const json& unit : read_json(cases() / "unit-bleu-stats.json")) {
    std::vector<double> statistics = {unit["sys_len"], unit["ref_len"]};
    for (const double count : unit["counts"]) statistics.push_back(count);
    for (const double total : unit["totals"]) statistics.push_back(total);
    BleuOptions options;
    options.smoothing = unit["smooth_method"] == "none" ? Smoothing::none : Smoothing::floor;
    if (!unit["smooth_value"].is_null()) options.smooth_value = unit["smooth_value"].get<double>();
    INFO(unit.dump());
    CHECK(near(score_from(statistics, options), unit["score_run"].get<double>(), 1e-9));
  }
}

TEST_CASE("NumPy's random stream", "[scoring]") {
  NumpyRandom raw(12345);
  CHECK(raw.next_uint64() == 0x3a32b18db2ffc19d);
  CHECK(raw.next_uint64() == 0x51171315c9e4c4de);
  const auto draws = [](uint32_t bound, size_t count) {
    NumpyRandom random(12345);
    std::vector<uint32_t> drawn;
    while (drawn.size() < count) drawn.push_back(random.below(bound));
    return drawn;
  };
  CHECK(draws(3004, 8) == std::vector<uint32_t>{2100, 682, 2369, 951, 613, 2395, 1930, 2031});
  CHECK(draws(1000, 4) == std::vector<uint32_t>{699, 227, 788, 316});
  CHECK(draws(1, 2) == std::vector<uint32_t>{0, 0});
}

TEST_CASE("paired tests give sacreBLEU's figures and p-values", "[scoring]") {
  const fs::path folder = cases() / "b60-synth400-paired";
  const std::vector<std::vector<std::string>> references = {read_lines(folder / "ref.txt")};
  for (const Metric& metric : {Metric(BleuOptions{}), Metric(ChrfOptions{}), Metric(TerOptions{})}) {
    std::vector<StatisticsTable> systems;
    for (const char* name : {"sysA.txt", "sysB.txt", "sysC.txt"})
      systems.push_back(count_segments(read_lines(folder / name), references, metric));
    const auto compare = [&](const std::vector<PairedResult>& results, const char* file) {
      const json expected = read_json(folder / file)["result"];
      for (size_t s = 0; s < results.size(); ++s) {
        const json& e = expected[s][score_name(metric)];
        INFO(file << " system " << s << " " << score_name(metric));
        CHECK(near(results[s].score, e["score"].get<double>(), 1e-9));
        CHECK(results[s].p_value.has_value() == !e["p_value"].is_null());
        if (results[s].p_value) CHECK(*results[s].p_value == e["p_value"].get<double>());
        CHECK(results[s].confidence.has_value() == !e["mean"].is_null());
        if (!results[s].confidence) continue;
        CHECK(near(results[s].confidence->mean, e["mean"].get<double>(), 1e-5));
        CHECK(near(results[s].confidence->half_width, e["ci"].get<double>(), 1e-5));
      }
    };
    compare(paired_bootstrap(systems, metric, {1000, 12345, 1}), "expected-bs.json");
    compare(paired_bootstrap(systems, metric, {1000, 12345, 3}), "expected-bs.json");
    compare(paired_randomisation(systems, metric, {10000}), "expected-ar.json");
  }
}

TEST_CASE("the table of metrics has a row for every kind, in the order of kinds", "[scoring]") {
  REQUIRE(metric_kinds().size() == std::variant_size_v<Metric>);
  for (size_t i = 0; i < metric_kinds().size(); ++i) {
    INFO(metric_kinds()[i].name);
    CHECK(metric_kinds()[i].defaults.index() == i);
    // Nothing right against everything right: which of the two is the larger number.
    const std::vector<std::string> text = {"a small house by the lake"}, other = {"nothing of it 12345"};
    const double right = corpus_score(text, text, metric_kinds()[i].defaults);
    const double wrong = corpus_score(other, text, metric_kinds()[i].defaults);
    CHECK((right < wrong) == metric_kinds()[i].is_lower_better);
  }
}

TEST_CASE("scores of whole texts", "[scoring]") {
  const std::vector<std::string> hypotheses = {"The cat sat.", ""}, reference = {"The cat sat.", ""};
  const std::vector<std::vector<std::string>> two = {reference, {"A cat sat there.", "x"}};
  CHECK(near(corpus_score(hypotheses, reference, BleuOptions{}), 100, 1e-9));
  CHECK(near(corpus_score(hypotheses, two, BleuOptions{}), 100, 1e-9));
  CHECK(near(corpus_score(hypotheses, reference, ChrfOptions{}), 100, 1e-9));
  CHECK(corpus_score(hypotheses, reference, TerOptions{}) == 0);
  CHECK_THROWS_AS(corpus_score(hypotheses, std::vector<std::string>{"one line"}, BleuOptions{}), Error);
  CHECK_THROWS_AS(corpus_score(hypotheses, std::vector<std::vector<std::string>>{}, TerOptions{}), Error);
  CHECK(corpus_score(std::vector<std::string>{}, std::vector<std::string>{}, BleuOptions{}) == 0);
}
