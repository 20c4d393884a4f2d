// Word alignments of translations and of given pairs, as bough-translate and bough-score print them.
#include <algorithm>
#include <cmath>

#include "apps/inference/nbest_list.h"
#include "apps/inference/pair_scorer.h"
#include "apps/inference/translation_printer.h"
#include "apps/inference/translator.h"
#include "test/catch.h"
#include "test/corpus_files.h"
#include "test/model_folder.h"
#include "test/throws.h"

using namespace bough;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The fields of a line, without the spaces around them.
std::vector<std::string> fields_of(std::string line) {
  std::vector<std::string> fields;
  for (size_t at; (at = line.find(" ||| ")) != std::string::npos; line.erase(0, at + 5))
    fields.push_back(line.substr(0, at));
  fields.push_back(line);
  return fields;
}

AlignmentFormat format(const char* option) { return AlignmentFormat::parse(option); }

}  // namespace

TEST_CASE("alignments are printed in Marian's forms", "[alignment]") {
  const SoftAlignment soft{{0.1, 0.6, 0.3}, {0.7, 0.2, 0.1}, {0.25, 0.125, 0.625}, {0.3, 0.3, 0.4}};
  CHECK(format_alignment(soft, format("hard")) == "0-1 1-0 2-2 2-3");
  CHECK(format_alignment(soft, format("1")) == "0-1 1-0 2-2 2-3");
  CHECK(format_alignment(soft, format("0.25")) == "0-1 0-3 1-0 1-3 2-0 2-2 2-3");
  CHECK(format_alignment(soft, format("soft")) == "0.1,0.6,0.3 0.7,0.2,0.1 0.25,0.125,0.625 0.3,0.3,0.4");
  CHECK(format_alignment({{1 / 3.0, 2e-7}}, format("soft")) == "0.333333,2e-07");
  CHECK_FALSE(format(""));
  for (const char* bad : {"soft ", "0", "-1", "0.5x", "nan", "sof"})
    CHECK(contains(message_of([&] { format(bad); }), fmt::format("alignment is '{}', must be", bad)));
}

TEST_CASE("translations are aligned as the teacher-forced pass aligns them, alone or in a batch",
          "[alignment][decoding]") {
  const auto backend = make_cpu_backend(1);
  ModelOptions options = small_options(ResidualKind::pre_ln);
  options.guided_alignment_layer = GENERATE("last", "2");
  const Model model = random_model(options, *backend);
  const auto sources = random_sentences(9, 8, 60, 3);
  DecodingOptions decoding;
  decoding.beam_size = 4;
  decoding.n_best = true;
  decoding.alignment = "soft";
  TranslatorSettings settings;
  settings.batch.mini_batch = GENERATE(1, 4);
  settings.workers = 2;
  const auto results = Translator(*model.transformer, *backend, decoding, settings).translate(sources);
  for (size_t i = 0; i < sources.size(); ++i)
    for (const Hypothesis& h : results[i]) {
      const std::vector<ScoredPair> alone{{sources[i], h.tokens}};
      const SoftAlignment expected = align_batch(*model.transformer, *backend, alone, {}).front();
      CHECK(h.alignment == expected);  // bit for bit
      REQUIRE(h.alignment.size() == h.tokens.size() + 1);
      for (const auto& shares : h.alignment) {
        REQUIRE(shares.size() == sources[i].size() + 1);
        double sum = 0;
        for (const double share : shares) sum += share;
        CHECK(std::abs(sum - 1) < 1e-6);
      }
      std::vector<SoftAlignment> beside_scores;
      score_batch(*model.transformer, *backend, alone, {}, &beside_scores);
      CHECK(beside_scores.front() == expected);
    }
  decoding.n_best = false;
  const auto best = Translator(*model.transformer, *backend, decoding, settings).translate(sources);
  for (size_t i = 0; i < sources.size(); ++i) CHECK(best[i].front().alignment == results[i].front().alignment);
}

TEST_CASE("what is printed beside a translation is what scoring prints of the pair", "[alignment][translate]") {
  for (const bool right_left : {false, true}) {
    const ModelFolder folder(right_left);
    const std::vector<std::string> sources{"w5 w6 w7", "w9 w10", "", "w40 w3 w20 w11 w12"};
    TranslateOptions options = folder.translate_options(join_lines(sources));
    options.decoding.allow_unk = true;
    for (const char* kind : {"hard", "soft", "0.2"}) {
      options.decoding.alignment = kind;
      options.decoding.n_best = false;
      options.decoding.word_scores = true;
      std::vector<std::string> targets, alignments;
      for (const std::string& line : folder.translate(options)) {
        const auto fields = fields_of(line);
        REQUIRE(fields.size() == 3);
        targets.push_back(fields[0]);
        alignments.push_back(fields[1]);
        CHECK(fields[2].starts_with("WordScores="));
      }
      const auto scored = folder.score(join_lines(sources), join_lines(targets), [&](ModelScorerOptions& o) {
        o.alignment = kind;
        o.word_scores = true;
      });
      REQUIRE(scored.size() == sources.size());
      for (size_t i = 0; i < scored.size(); ++i) CHECK(fields_of(scored[i])[1] == alignments[i]);

      options.decoding.n_best = true;
      options.decoding.word_scores = false;
      const auto list = folder.translate(options);
      CHECK(fields_of(list.front())[2] == alignments.front());
      CHECK(fields_of(list.front()).size() == 5);
      const auto rescored = folder.score(join_lines(sources), join_lines(list), [&](ModelScorerOptions& o) {
        o.alignment = kind;
        o.n_best = true;
      });
      REQUIRE(rescored.size() == list.size());
      for (size_t i = 0; i < list.size(); ++i) CHECK(fields_of(rescored[i])[2] == fields_of(list[i])[2]);
    }
  }
  CHECK(with_feature("0 ||| a b ||| F0= -1 ||| -1", "Score", -2, "0-0 1-1") ==
        "0 ||| a b ||| 0-0 1-1 ||| F0= -1 Score= -2 ||| -1");
}

TEST_CASE("unknown words become the source words that they are aligned with", "[alignment][translate]") {
  const ScratchFolder folder;
  write_file(folder / "vocabulary.txt", "</s>\n<unk>\na\nb\n");
  const auto vocabulary = load_vocabulary(folder / "vocabulary.txt");
  const std::vector<std::string> source = vocabulary->split("x  Zürich y", false);
  CHECK(source == std::vector<std::string>{"x", "Zürich", "y"});
  const Hypothesis h{{2, unknown_id, 3, unknown_id},
                     std::vector<double>(5),
                     -1,
                     -1,
                     {{1, 0, 0, 0}, {0.1, 0.3, 0.2, 0.4}, {1, 0, 0, 0}, {0, 0.1, 0.8, 0.1}, {0, 0, 0, 1}}};
  const auto line = [&](bool right_left, const std::vector<std::string>& words) {
    return TranslationPrinter(vocabulary, right_left, {}, false).lines(0, {h}, words);
  };
  CHECK(line(false, source) == "a Zürich b y\n");  // not the end of sentence, though it has more
  CHECK(line(true, source) == "y b Zürich a\n");
  CHECK(line(false, {}) == "a <unk> b <unk>\n");

  const ModelFolder model(false, 2);
  std::string input;
  for (int i = 0; i < 40; ++i) input += fmt::format("w{} neu{} w{}\n", 2 + i, i, 50 - i);
  TranslateOptions options = model.translate_options(input);
  options.decoding.replace_unk = true;
  options.batch.mini_batch = 3;
  options.batch.maxi_batch = 2;
  options.resolve({});
  const auto replaced = model.translate(options);
  options.decoding.replace_unk = false;
  CHECK(options.decoding.allow_unk);
  const auto unknown = model.translate(options);
  REQUIRE(replaced.size() == 40);
  size_t different = 0;
  for (size_t i = 0; i < 40; ++i) {
    CHECK_FALSE(contains(replaced[i], "<unk>"));
    different += replaced[i] != unknown[i];
    CHECK((replaced[i] != unknown[i]) == contains(unknown[i], "<unk>"));
  }
  CHECK(different > 0);
}
