// Text in, text out: bough-translate, and bough-score with a model.
#include <algorithm>

#include "apps/inference/model_scorer.h"
#include "apps/inference/nbest_list.h"
#include "apps/inference/text_encoder.h"
#include "apps/inference/translate_command.h"
#include "apps/inference/translation_printer.h"
#include "core/base/files.h"
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/file_lines.h"
#include "test/model_arrays.h"
#include "test/model_folder.h"
#include "test/scratch_folder.h"
#include "test/small_model.h"
#include "test/throws.h"

using namespace bough;

TEST_CASE("every input line gives a line, whatever is in it", "[translate]") {
  const ModelFolder folder;
  std::string input = "w5 w6\n\nw7 \xff w8\nw9 ";
  input += '\0';
  input += " w10\r\n   \n";
  for (int i = 0; i < 260000; ++i) input += "w11 ";  // 1 MB
  input += "\nw5 w6";
  TranslateOptions options = folder.translate_options(input);
  const auto lines = folder.translate(options);
  REQUIRE(lines.size() == 7);
  CHECK(!lines[0].empty());
  CHECK(lines[1].empty());
  CHECK(lines[4].empty());
  CHECK(lines[6] == lines[0]);

  options.batch.mini_batch = 4;
  options.batch.maxi_batch = 2;
  options.batch.maxi_batch_sort = SortKind::source;
  CHECK(folder.translate(options) == lines);
  options.input = {folder / "absent"};
  CHECK(message_of([&] { run_translate(options); }).find("absent") != std::string::npos);
  CHECK(lines_of(options.output) == lines);  // nothing overwritten
  CHECK(folder.translate(folder.translate_options("")).empty());
}

TEST_CASE("n-best lists and word scores are Marian's", "[translate]") {
  const ModelFolder folder;
  const auto vocabulary = load_vocabulary(folder / "vocabulary.txt");
  DecodingOptions decoding;
  const Translator::Result result = {{{5, 6}, {-0.25, -0.5, -1.0 / 3}, -13.0 / 12, -0.361111111},
                                     {{7}, {-1.5, -2}, -3.5, -1.75}};
  bool right_left = false;
  const auto lines = [&] { return TranslationPrinter(vocabulary, right_left, decoding, false).lines(4, result); };
  CHECK(lines() == "w5 w6\n");
  decoding.word_scores = true;
  CHECK(lines() == "w5 w6 ||| WordScores= -0.25000 -0.50000 -0.33333\n");
  decoding.n_best = true;
  CHECK(lines() ==
        "4 ||| w5 w6 ||| WordScores= -0.25000 -0.50000 -0.33333 ||| F0= -1.08333 ||| -0.361111\n"
        "4 ||| w7 ||| WordScores= -1.50000 -2.00000 ||| F0= -3.5 ||| -1.75\n");
  right_left = true;  // the end's score stays last
  CHECK(lines().starts_with("4 ||| w6 w5 ||| WordScores= -0.50000 -0.25000 -0.33333 |||"));
  decoding.word_scores = false;
  CHECK(lines() == "4 ||| w6 w5 ||| F0= -1.08333 ||| -0.361111\n4 ||| w7 ||| F0= -3.5 ||| -1.75\n");

  TranslateOptions options = folder.translate_options("w5\n\nw6\n");
  options.decoding.n_best = true;
  const auto list = folder.translate(options);
  REQUIRE(list.size() == 7);
  CHECK(list[3] == "1 |||  ||| F0= 0 ||| 0");
  CHECK(list[4].substr(0, 6) == "2 ||| ");
}

TEST_CASE("a vocabulary that does not fit the model is refused", "[translate]") {
  const ModelFolder folder;
  TranslateOptions options = folder.translate_options("w5\n");
  write_file(folder / "small.txt", "</s>\n<unk>\na\n");
  options.vocabulary.paths[1] = folder / "small.txt";
  const std::string message = message_of([&] { run_translate(options); });
  CHECK(message.find("small.txt': 3 entries, but the model") != std::string::npos);
  CHECK(message.find("has 60") != std::string::npos);
  options.vocabulary.paths.pop_back();
  CHECK(message_of([&] { run_translate(options); }).find("must be two") != std::string::npos);
}

TEST_CASE("ids of special words are the vocabulary's, in translating and scoring", "[translate]") {
  const ModelFolder folder;
  const auto moved = [](size_t id) { return (id + 7) % 60; };  // </s> is 7, <unk> 8
  Arrays model = Arrays::of(folder / "model.npz");
  const auto move_rows = [&](const std::string& name, size_t width) {
    auto& values = model.find(name).values;
    const auto before = values;
    for (size_t id = 0; id < 60; ++id) std::copy_n(&before[id * width], width, &values[moved(id) * width]);
  };
  move_rows("Wemb", 32);
  move_rows("decoder_ff_logit_out_b", 1);
  model.write(folder / "moved.npz");
  const auto words = lines_of(folder / "vocabulary.txt");
  auto lines = std::vector<std::string>(60);
  for (size_t id = 0; id < 60; ++id) lines[moved(id)] = words[id];
  write_file(folder / "moved.txt", fmt::format("{}\n", fmt::join(lines, "\n")));

  const std::string input = "w5 w6 w7\nw8 absent\n\nw9 w10 w11 w12\n";
  TranslateOptions options = folder.translate_options(input);
  const auto expected = folder.translate(options);
  options.models = {folder / "moved.npz"};
  options.vocabulary.paths = {folder / "moved.txt", folder / "moved.txt"};
  CHECK(folder.translate(options) == expected);
  std::string target = "w5 w6\nabsent\n\nw3 w59\n";
  const auto scores = folder.score(input, target), others = folder.score(input, target, [&](auto&o) {
    o.models = {folder / "moved.npz"};
    o.vocabulary = options.vocabulary;
  });
  REQUIRE(scores.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(std::stod(others[i]) == Approx(std::stod(scores[i])).margin(1e-4));
}

TEST_CASE("forced beginnings come from a second file or field", "[translate]") {
  const ModelFolder folder;
  TranslateOptions options = folder.translate_options("w5 w6 w7\nw8\n\nw9 w3\n");
  options.decoding.n_best = options.decoding.force_decode = true;
  options.corpus.max_length = 1000;
  std::string longer;  // than the length limit
  for (int i = 0; i < 20; ++i) longer += "w4 ";
  write_file(folder / "prefix", "w10 w11\n\nw3\n" + longer + "\n");
  options.input.push_back(folder / "prefix");
  const auto lines = folder.translate(options);
  REQUIRE(lines.size() == 8);
  for (size_t i = 0; i < 3; ++i) CHECK(lines[i].starts_with("0 ||| w10 w11 "));
  CHECK(lines[6] == "2 |||  ||| F0= 0 ||| 0");
  CHECK(lines[7].starts_with("3 ||| " + longer.substr(0, longer.size() - 1) + " |||"));
  // The search's score of what it was given is the model's.
  std::string list;
  for (const auto& line : lines) list += line + "\n";
  const auto scored = folder.score("w5 w6 w7\nw8\n\nw9 w3\n", list, [](auto& o) { o.n_best = true; });
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i == 6) continue;
    CHECK(std::stod(scored[i].substr(scored[i].find("Score= ") + 7)) ==
          Approx(std::stod(lines[i].substr(lines[i].find("F0= ") + 4))).epsilon(1e-4));
  }
  using Catch::Matchers::Contains;
  // A word that no shortlist may have costs nothing, and the rest has its own scores.
  write_file(folder / "prefix", "absent\n\nw3\nw10 absent\n");
  write_file(folder / "all", "");
  options.shortlist = {.path = folder / "all", .first = 1000};
  const auto listed = folder.translate(options);
  CHECK(listed[0].starts_with("0 ||| <unk> "));
  options.decoding.n_best = false;
  options.decoding.word_scores = true;
  CHECK_THAT(folder.translate(options)[0], Contains(" ||| WordScores= 0.00000 -"));
  TranslateOptions free = folder.translate_options("w8\n");
  free.decoding.n_best = true;
  CHECK(folder.translate(free)[0].substr(1) == lines[3].substr(1));

  TranslateOptions tsv = folder.translate_options("w5 w6 w7\tw10 w11\nw8\t\textra\n\tw3\nw9 w3\t" + longer + "\n");
  tsv.corpus.max_length = 1000;
  tsv.corpus.tsv = tsv.decoding.force_decode = tsv.decoding.n_best = true;
  CHECK(folder.translate(tsv) == lines);
  tsv.decoding.force_decode = tsv.decoding.n_best = false;
  CHECK(folder.translate(tsv) == folder.translate(folder.translate_options("w5 w6 w7\nw8\n\nw9 w3\n")));
}

TEST_CASE("what is wrong with two inputs or fields is said in a sentence", "[translate]") {
  const ModelFolder folder;
  const auto message = [&](TranslateOptions options) { return message_of([&] { run_translate(options); }); };
  using Catch::Matchers::Contains;
  TranslateOptions options = folder.translate_options("w5\nw6\n");
  options.decoding.force_decode = true;
  write_file(folder / "prefix", "w7\n");
  options.input.push_back(folder / "prefix");
  CHECK_THAT(message(options), Contains("input' has more lines than '") && Contains("prefix', which ends after 1"));
  std::swap(options.input[0], options.input[1]);
  CHECK_THAT(message(options), Contains("input' has more lines than '") && Contains("prefix', which ends after 1"));
  TranslateOptions tsv = folder.translate_options("w5\tw6\nw7\n");
  tsv.corpus.tsv = tsv.decoding.force_decode = true;
  CHECK_THAT(message(tsv), Contains("input': line 2 has 1 tab-separated field, must have at least 2"));
  tsv.corpus.tsv_fields = 3;
  CHECK_THAT(message(tsv), Contains("input': line 1 has 2 tab-separated fields, must have 3. "));
  const ModelFolder back(true);
  TranslateOptions right_left = back.translate_options("w5\tw6\n");
  right_left.corpus.tsv = right_left.decoding.force_decode = true;
  CHECK_THAT(message(right_left), Contains("force-decode: '") && Contains("writes from right to left"));
}

TEST_CASE("fields of one file are scored as two files are", "[translate]") {
  const ModelFolder folder;
  const auto expected = folder.score("w5 w6\nw7\n", "w8\nw9 w10\n");
  const auto tsv = [&](const std::string& text, int fields) {
    return folder.score(text, "", [&](ModelScorerOptions& options) {
      options.corpus.train_sets.pop_back();
      options.corpus.tsv = true;
      options.corpus.tsv_fields = fields;
    });
  };
  CHECK(tsv("w5 w6\tw8\nw7\tw9 w10\n", 0) == expected);
  CHECK(tsv("w5 w6\tw8\t0-0\nw7\tw9 w10\t\n", 3) == expected);
  CHECK(message_of([&] { tsv("w5\tw6\tw7\n", 0); }).find("line 1 has 3 tab-separated fields, must have 2") !=
        std::string::npos);
}

TEST_CASE("samples of a file are those of its lines, whatever the batches", "[translate]") {
  const ModelFolder folder;
  TranslateOptions options = folder.translate_options("w5 w6 w7\nw8\n\nw9 w3\nw5 w6 w7\n");
  options.decoding.sampling = {SamplingRule::Words::all};
  options.decoding.seed = 5;
  const auto lines = folder.translate(options);
  REQUIRE(lines.size() == 5);
  CHECK(lines[2].empty());
  CHECK(lines[4] != lines[0]);  // another line of the input
  options.batch.mini_batch = 4;
  options.batch.maxi_batch = 3;
  options.batch.maxi_batch_sort = SortKind::source;
  options.machine.cpu_threads = 1;
  options.stat_freq = {1};
  CHECK(folder.translate(options) == lines);
  options.decoding.n_best = options.decoding.word_scores = true;
  const auto list = folder.translate(options);
  REQUIRE(list.size() == 13);
  CHECK(list[0].starts_with("0 ||| " + lines[0] + " ||| WordScores="));
  options.decoding.n_best = options.decoding.word_scores = false;
  options.decoding.seed = 6;
  CHECK(folder.translate(options) != lines);
}

TEST_CASE("a model scores what it translated as it did while translating", "[translate]") {
  for (bool right_left : {false, true}) {
    const ModelFolder folder(right_left);
    TranslateOptions options = folder.translate_options("w5 w6 w7\nw8\n");
    options.decoding.n_best = true;
    const auto list = folder.translate(options);
    REQUIRE(list.size() == 6);
    std::string nbest;
    for (const auto& line : list) nbest += line + "\n";
    const auto scored = folder.score("w5 w6 w7\nw8\n", nbest, [](auto& o) { o.n_best = true; });
    REQUIRE(scored.size() == list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      const double before = std::stod(list[i].substr(list[i].find("F0= ") + 4));
      const double after = std::stod(scored[i].substr(scored[i].find("Score= ") + 7));
      CHECK(after == Approx(before).epsilon(1e-4));
      CHECK(scored[i].find(" ||| F0= ") != std::string::npos);
    }
  }
}

TEST_CASE("scores, normalised scores and summaries", "[translate]") {
  const ModelFolder folder;
  const std::string source = "w5 w6\nw7\n\n", target = "w8 w9 w10\n\nw11\n";
  const auto plain = folder.score(source, target);
  REQUIRE(plain.size() == 3);
  CHECK(plain[0].size() - plain[0].find('.') == 7);  // %f
  const auto normalised = folder.score(source, target, [](auto& o) { o.normalize = true; });
  CHECK(std::stod(normalised[0]) == Approx(std::stod(plain[0]) / 4).margin(1e-6));
  CHECK(normalised[1] == plain[1]);
  const auto words = folder.score(source, target, [](auto& o) { o.word_scores = true; });
  CHECK(words[0].substr(0, plain[0].size() + 17) == plain[0] + " ||| WordScores= ");
  CHECK(std::count(words[0].begin(), words[0].end(), ' ') == 6);
  double sum = 0;
  for (const auto& line : plain) sum -= std::stod(line);
  const auto summary = [&](ScoreSummary kind) {
    const auto lines = folder.score(source, target, [&](auto& o) { o.summary = kind; });
    REQUIRE(lines.size() == 1);
    return std::stod(lines[0]);
  };
  CHECK(summary(ScoreSummary::ce_sum) == Approx(sum).epsilon(1e-4));
  CHECK(summary(ScoreSummary::cross_entropy) == Approx(sum / 3).epsilon(1e-4));
  CHECK(summary(ScoreSummary::ce_mean_words) == Approx(sum / 7).epsilon(1e-4));
  CHECK(summary(ScoreSummary::perplexity) == Approx(std::exp(sum / 7)).epsilon(1e-4));
}

TEST_CASE("a token cannot end a line", "[translate]") { CHECK(on_one_line(std::string("a\nb\rc\0d", 7)) == "a b c d"); }

TEST_CASE("n-best lines get a feature behind the others", "[translate]") {
  CHECK(with_feature("3 ||| a b ||| F0= -2.5 ||| -0.8", "Score", -13.15971) ==
        "3 ||| a b ||| F0= -2.5 Score= -13.1597 ||| -0.8");
  CHECK(with_feature("3 ||| a ||| 0-0 1-1 ||| WordScores= -1 -2 ||| F0= -3 ||| -3", "S", -1, "0-1") ==
        "3 ||| a ||| 0-0 1-1 ||| WordScores= -1 -2 ||| 0-1 ||| F0= -3 S= -1 ||| -3");
  CHECK(with_feature("3 ||| a ||| -3 -4 ||| -3", "S", -1) == "3 ||| a ||| -3 -4 S= -1 ||| -3");
  const NBestLine line = parse_nbest_line("12 ||| a b ||| F0= -2.5 ||| -0.8", "list", 1);
  CHECK(line.number == 12);
  CHECK(line.text == "a b");
  CHECK(message_of([] { parse_nbest_line("a b c", "list", 7); }).find("'list' line 7: 1 fields") == 0);
  CHECK(message_of([] { parse_nbest_line("x ||| b ||| c", "list", 7); }).find("must begin with the number") !=
        std::string::npos);
}
