// data-weighting: weights of sentences and words, from files and fields to gradients.
#include <bit>

#include "core/base/npz.h"
#include "data/data_weights.h"
#include "data/training_data.h"
#include "test/fixture_runs.h"
#include "test/training_run.h"

using namespace bough;

namespace {

std::vector<int32_t> bits(const std::vector<float>& weights) {
  std::vector<int32_t> words;
  for (const float w : weights) words.push_back(std::bit_cast<int32_t>(w));
  return words;
}

/// Text of as many lines as the fixtures' corpus has, the i-th by `line`.
template <class Line>
std::string lines_of(Line line) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += std::string(line(i)) + "\n";
  return text;
}

std::vector<std::string> lines_in(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

int words_in(const std::string& line) { return int(std::count(line.begin(), line.end(), ' ')) + 1; }

double cost(const Runs& runs, const std::string& name) { return runs.metrics(name).front()["cost_mean_words"]; }

}  // namespace

TEST_CASE("weights are numbers from 0 on, as many as the level asks for", "[data]") {
  CHECK(parse_weights(" 1 0.5\t2e-1 0 ", "x") == std::vector<float>{1, 0.5, 0.2f, 0});
  for (const char* wrong : {"-1", "nan", "inf", "1,5", "a", "1e99"})
    CHECK(message_of([&] { parse_weights(wrong, "'f': line 3"); }).find("'f': line 3: '") == 0);
  CHECK_NOTHROW(check_weights({1}, WeightLevel::sentence, 5, ""));
  CHECK(message_of([] { check_weights({}, WeightLevel::sentence, 5, "f"); }).find("f: 0 weights, must have 1") == 0);
  CHECK(message_of([] {
          check_weights({1, 2}, WeightLevel::sentence, 2, "f");
        }).find("f: 2 weights, must have 1") == 0);
  CHECK_NOTHROW(check_weights({1, 2}, WeightLevel::word, 2, ""));
  CHECK_NOTHROW(check_weights({1, 2, 3}, WeightLevel::word, 2, ""));
  for (const std::vector<float>& wrong : {std::vector<float>{1}, {1, 2, 3, 4}})
    CHECK(message_of([&] { check_weights(wrong, WeightLevel::word, 2, "f"); }).find("weights for 2 target tokens") !=
          std::string::npos);
  CHECK(training_weights({3}, WeightLevel::sentence, 9, 4, true) == bits({3}));
  CHECK(training_weights({3, 4}, WeightLevel::word, 2, 2, false) == bits({3, 4, 1}));
  CHECK(training_weights({3, 4, 5}, WeightLevel::word, 2, 2, true) == bits({4, 3, 5}));
  CHECK(training_weights({3, 4, 5, 6}, WeightLevel::word, 3, 2, false) == bits({3, 4, 6}));
}

TEST_CASE("a pair of weight 2 counts as two, one of weight 0 not at all", "[training]") {
  const Sentences corpus(3);
  const auto batch_of = [&](const std::vector<size_t>& pairs, const std::vector<std::vector<int32_t>>& weights) {
    std::vector<SentencePair> all;
    for (size_t i = 0; i < pairs.size(); ++i)
      all.push_back({.source = corpus.sources[pairs[i]],
                     .target = corpus.targets[pairs[i]],
                     .id = int64_t(i),
                     .weights = weights.empty() ? std::span<const int32_t>() : weights[i]});
    return pack(all);
  };
  const ModelOptions options = small_model(ResidualKind::post_ln);
  const auto gradients = [&](const Batch& batch) {
    Run run(options, {}, adam(0.01), 1, DType::f64);
    run.model.accumulate_gradients(batch, true);
    return run.model.parameters().download(run.model.parameters().gradients());
  };
  const auto check_same = [](const std::vector<float>& a, const std::vector<float>& b) {
    REQUIRE(a.size() == b.size());
    double worst = 0;
    for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, double(std::abs(a[i] - b[i])));
    CHECK(worst < 1e-5);
  };
  check_same(gradients(batch_of({0, 1, 2}, {bits({2}), bits({0}), bits({1})})), gradients(batch_of({0, 0, 2}, {})));
  const size_t rows = corpus.targets[0].size() + 1;
  check_same(gradients(batch_of({0}, {bits(std::vector<float>(rows, 3))})), gradients(batch_of({0, 0, 0}, {})));
}

TEST_CASE("weights of files and of fields train alike, and resumed as uninterrupted", "[training]") {
  const Runs runs;
  const auto weight = [](int i) { return std::to_string(i % 3); };
  write_text(runs / "weights", lines_of(weight));
  const auto words = with(tiny, {"--data-weighting", runs / "weights"});
  runs.train("whole", with(words, {"--after", "6u"}));
  runs.train("parts", with(words, {"--after", "3u"}));
  runs.train("parts", with(words, {"--after", "6u"}));
  const auto parameters = [&](const std::string& name) {
    return NpzReader(runs / (name + ".npz.optimizer.npz")).read_f32("master_parameters");
  };
  CHECK(parameters("parts") == parameters("whole"));
  runs.train("plain", with(tiny, {"--after", "6u"}));
  CHECK(parameters("plain") != parameters("whole"));
  CHECK(runs.refusal("plain", with(words, {"--after", "8u"})).find("guided-alignment or data-weighting") !=
        std::string::npos);

  // Words with weights of their sentence, and one field of three.
  const auto source = lines_in(fixtures + "corpus.src"), target = lines_in(fixtures + "corpus.trg");
  write_text(runs / "words", lines_of([&](int i) {
               std::string line = weight(i);
               for (int w = 0; w < words_in(target[size_t(i)]); ++w) line += " " + weight(i);
               return line;
             }));
  runs.train("words",
             with(tiny, {"--data-weighting", runs / "words", "--data-weighting-type", "word", "--after", "6u"}));
  CHECK(parameters("words") == parameters("whole"));
  for (const bool is_first : {true, false}) {
    write_text(runs / "tsv", lines_of([&](int i) {
                 const std::string pair = source[size_t(i)] + "\t" + target[size_t(i)];
                 return is_first ? weight(i) + "\t" + pair : pair + "\t" + weight(i);
               }));
    TrainOptions options = runs.options("tsv", with(tiny, {"--after", "6u", "--no-reload"}));
    options.corpus.train_sets = {runs / "tsv"};
    options.corpus.tsv = true;
    options.corpus.data_weighting = is_first ? "0" : "2";
    Trainer(options).run();
    CHECK(parameters("tsv") == parameters("whole"));
  }
  CHECK(cost(runs, "whole") != cost(runs, "plain"));
}

TEST_CASE("wrong weights are one sentence with their line", "[training]") {
  const Runs runs;
  const auto refusal = [&](const std::string& text, const std::vector<std::string>& more = {}) {
    write_text(runs / "weights", text);
    return runs.refusal("m", with(with(tiny, {"--data-weighting", runs / "weights", "--after", "1u"}), more));
  };
  CHECK(refusal("1\n1\n-1\n1\n1\n1\n1\n1\n").find("weights': line 3: '-1' is no weight") != std::string::npos);
  CHECK(refusal("1\n1 1\n1\n1\n1\n1\n1\n1\n").find("line 2: 2 weights, must have 1") != std::string::npos);
  CHECK(refusal("1\n\n1\n1\n1\n1\n1\n1\n").find("line 2: 0 weights, must have 1") != std::string::npos);
  CHECK(refusal("1\n1\n").find("data-weighting: '") == 0);
  CHECK(refusal("1\n1\n").find("has 8 lines but '") != std::string::npos);
  CHECK(refusal(lines_of([](int) { return "1 1 1 1 1 1 1 1 1 1 1 1 1 1"; }), {"--data-weighting-type", "word"})
            .find("weights for ") != std::string::npos);
}

TEST_CASE("input-types say which fields are alignments and weights", "[settings]") {
  const auto corpus = [](std::vector<InputType> types) {
    CorpusOptions options;
    options.train_sets = {"a"};
    options.tsv = true;
    options.input_types = std::move(types);
    options.resolve(2);
    options.validate();
    return options;
  };
  using enum InputType;
  CHECK(corpus({sequence, weight, sequence}).weight_field() == 1);
  CHECK(corpus({sequence, sequence, alignment, weight}).alignment_field() == 2);
  CHECK(corpus({sequence, sequence, alignment, weight}).fields() == 4);
  CHECK_FALSE(corpus({sequence, sequence}).has_weights());
  for (const std::vector<InputType>& wrong :
       {std::vector<InputType>{sequence}, {sequence, sequence, class_label}, {sequence, sequence, weight, weight}})
    CHECK(message_of([&] { corpus(wrong); }).find("input-types must be") != std::string::npos);
}
