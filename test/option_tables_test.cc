// The tables of settings as a whole: every row does something, is described, and is in docs/options.md.

#include "apps/option_tables.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "apps/scoring/options.h"
#include "core/base/settings_reader.h"
#include "test/catch.h"
#include "test/option_runs.h"
#include "test_paths.h"

using namespace bough;
namespace fs = std::filesystem;

namespace {

template <class Options>
std::vector<Setting> rows_of(Options& options) {
  Settings rows;
  options.settings(rows);
  return rows.rows();
}

/// Values to try for an option until one is neither its default nor an error.
Strings candidates(const Setting& row) {
  if (row.is_flag) return {"true", "false"};
  if (row.word == "N") return {"2", "1", "0.5", "3"};
  if (row.word == "PERIOD") return {"7u", "5t"};
  return row.choices.empty() ? Strings{"other.npz"} : row.choices;
}

/// Sets each option alone and checks that the effective settings change there. `special` has the
/// values that are worth more than the first candidate, and the errors of options that need others.
template <class Options, class Parse>
void check_every_option(Parse parse, const Strings& base,
                        const std::map<std::string, std::pair<Strings, std::string>>& special) {
  Options defaults;
  const Options plain = *run(parse, base);
  for (const Setting& row : rows_of(defaults)) {
    if (row.is_alias || row.is_transient) continue;
    INFO(row.name);
    const auto it = special.find(row.name);
    Strings tries = candidates(row);
    if (it != special.end()) tries = {""};
    bool changed = false;
    for (const std::string& text : tries) {
      Strings values = {text};
      if (it != special.end()) values = it->second.first;
      const Strings arguments = join(join(base, {"--" + row.name}), values);
      const std::string error = error_of([&] {
        const auto options = run(parse, arguments);
        const Yaml before = *dump(plain).find(row.name), after = *dump(*options).find(row.name);
        changed = changed || !(before == after);
      });
      if (it != special.end() && !it->second.second.empty()) {
        CHECK(error.find(it->second.second) != std::string::npos);
        changed = true;
      } else if (it != special.end()) {
        CHECK(error.empty());
      }
      if (changed) break;
    }
    CHECK(changed);
  }
}

}  // namespace

TEST_CASE("every option of bough-train changes something", "[settings]") {
  const ScratchFolder folder;
  check_every_option<TrainOptions>(
      parse_train_options, train_base,
      {{"log", {{folder / "a.log"}, ""}},
       {"type", {{"s2s"}, "type is 's2s', must be transformer"}},
       {"precision", {{"bfloat16", "float32"}, ""}},
       {"dim-vocabs", {{"100", "200"}, ""}},
       {"sentencepiece-alphas", {{"0.1", "0"}, ""}},
       {"train-sets", {{"more"}, "train-sets has 3 files, must have 2"}},
       {"vocabs", {{"more"}, "vocabs has 3 files, must have 2"}},
       {"valid-sets", {{"v.en", "v.de"}, ""}},
       {"valid-metrics", {{"bleu", "chrf"}, ""}},
       {"dim-emb", {{"64"}, ""}},
       {"embedding-vectors", {{"src.vec", "trg.vec"}, ""}},
       {"embedding-normalization", {{"true"}, "embedding-normalization is given without embedding-vectors"}},
       {"tsv", {{"true"}, "train-sets has 2 files, must have 1 with tsv"}},
       {"tsv-fields", {{"2"}, "tsv-fields is given without tsv"}},
       {"devices", {{"1"}, ""}},
       {"branchnorm-bound", {{"0.1"}, "branchnorm-bound is given, but nothing follows it"}},
       {"transformer-guided-alignment-layer", {{"1"}, ""}},
       {"transformer-decoder-autoreg", {{"rnn"}, "dec-cell is 'gru', must be ssru"}},
       {"transformer-rnn-projection", {{"true"}, "no layer has it"}},
       {"dec-cell", {{"ssru"}, ""}},
       {"guided-alignment-cost", {{"mse"}, ""}},  // refused with guided-alignment
       {"input-types", {{"sequence", "sequence"}, ""}},
       {"transformer-preprocess", {{"n"}, "give them as post-ln or pre-ln"}},
       {"transformer-postprocess", {{"da"}, "give them as post-ln or pre-ln"}},
       {"transformer-postprocess-top", {{"n"}, "give them as post-ln or pre-ln"}},
       {"transformer-postprocess-emb", {{""}, ""}}});
}

TEST_CASE("every option of bough-translate changes something", "[settings]") {
  const ScratchFolder folder;
  check_every_option<TranslateOptions>(parse_translate_options, translate_base,
                                       {{"log", {{folder / "a.log"}, ""}},
                                        {"models", {{"n.npz"}, ""}},
                                        {"output-sampling", {{"topk", "10", "0.8"}, ""}},
                                        {"alignment", {{"hard"}, ""}},
                                        {"force-decode", {{"true"}, "input has 1 file, must have 2 with force-decode"}},
                                        {"tsv-fields", {{"2"}, "tsv-fields is given without tsv"}},
                                        {"weights", {{"0.5"}, ""}},
                                        {"vocabs", {{"more"}, "vocabs has 3 files, must have 2"}},
                                        {"devices", {{"1"}, ""}},
                                        {"num-devices", {{"1"}, ""}},
                                        {"precision", {{"bfloat16"}, ""}}});
}

TEST_CASE("every option of model scoring changes something", "[settings]") {
  const ScratchFolder folder;
  check_every_option<ModelScorerOptions>(parse_model_scorer_options, scorer_base,
                                         {{"log", {{folder / "a.log"}, ""}},
                                          {"train-sets", {{"more"}, "train-sets has 3 files, must have 2"}},
                                          {"alignment", {{"soft"}, ""}},
                                          {"tsv", {{"true"}, "train-sets has 2 files, must have 1 with tsv"}},
                                          {"tsv-fields", {{"2"}, "tsv-fields is given without tsv"}},
                                          {"vocabs", {{"more"}, "vocabs has 3 files, must have 2"}},
                                          {"devices", {{"1"}, ""}},
                                          {"num-devices", {{"1"}, ""}},
                                          {"precision", {{"bfloat16"}, ""}}});
}

TEST_CASE("every option bough refuses is accepted at rest and refused otherwise", "[settings]") {
  const ScratchFolder folder;
  TrainOptions defaults;
  const auto rows = rows_of(defaults);
  for (const RefusedOption& refused : refused_options()) {
    INFO(refused.name);
    CHECK(std::none_of(rows.begin(), rows.end(), [&](auto& row) { return row.name == refused.name; }));
    Yaml at_rest = Yaml::list();
    std::string rest(refused.resting);
    for (size_t at = 0; at < rest.size(); at = std::min(rest.find(' ', at), rest.size() - 1) + 1)
      at_rest.items.emplace_back(rest.substr(at, rest.find(' ', at) - at));
    CHECK_NOTHROW(train_yaml(format_yaml(Yaml::map().set(refused.name, at_rest))));
    CHECK_NOTHROW(train_yaml(format_yaml(Yaml::map().set(refused.name, rest))));
    const std::string error = error_of([&] { train({"--" + std::string(refused.name), "something"}); });
    CHECK(error == fmt::format("command line: {} {}", refused.name, refused.reason));
  }
  CHECK_NOTHROW(train_yaml("version: v1.12.0\nspecial-vocab: [1]\n"));
}

TEST_CASE("--help has every option within 100 columns", "[settings]") {
  const std::string help = output_of([] { CHECK_FALSE(run(parse_train_options, {"--help"})); });
  TrainOptions defaults;
  for (const Setting& row : rows_of(defaults)) {
    INFO(row.name);
    CHECK(help.find("--" + row.name) != std::string::npos);
    CHECK_FALSE(row.help.empty());
    CHECK_FALSE(row.group.empty());
  }
  for (size_t at = 0; at < help.size();) {
    const size_t end = help.find('\n', at);
    CHECK(end - at <= 100);
    at = end + 1;
  }
  CHECK(output_of([] { run(parse_translate_options, {"--version"}); }).find("0.") != std::string::npos);
  CHECK(output_of([] { run(parse_translate_options, {"--build-info"}); }).find("compiler: ") != std::string::npos);
}

TEST_CASE("no name or letter is given twice", "[settings]") {
  auto check_names = [](const std::vector<Setting>& rows) {
    std::map<std::string, int> seen;
    for (const Setting& row : rows) {
      INFO(row.name);
      CHECK(++seen[row.name] == 1);
      if (!row.short_name.empty()) CHECK(++seen[row.short_name] == 1);
    }
  };
  TrainOptions train;
  TranslateOptions translate;
  ModelScorerOptions scorer;
  check_names(rows_of(train));
  check_names(rows_of(translate));
  check_names(rows_of(scorer));
  VocabOptions vocab;
  AverageOptions average;
  check_names(rows_of(vocab));
  check_names(rows_of(average));
  ReportOptions report;
  check_names(rows_of(report));
  ScoreOptions score;
  check_names(rows_of(score));
}

TEST_CASE("bough-vocab, bough-average and bough-report read their options from tables", "[settings]") {
  const auto vocab = [](const Strings& arguments) { return run(parse_vocab_options, arguments); };
  CHECK(vocab({})->max_size == 0);
  for (const Strings& given : std::vector<Strings>{{"-m", "9"}, {"-m9"}, {"--max-size", "9"}, {"--max-size=9"}})
    CHECK(vocab(given)->max_size == 9);
  CHECK(error_of([&] {
          vocab({"--maxsize", "9"});
        }) == "command line: unknown option 'maxsize'; did you mean 'max-size'?");
  CHECK(error_of([&] {
          vocab({"--max-size", "-9"});
        }) == "command line: max-size is '-9', must be a whole number, at least 0");
  CHECK(error_of([&] { vocab({"--max-size"}); }).find("max-size has no value") != std::string::npos);
  CHECK(error_of([&] { vocab({"text"}); }).find("'text' belongs to no option") != std::string::npos);
  CHECK(output_of([&] { CHECK_FALSE(vocab({"-h"})); }).starts_with("Usage: bough-vocab [--max-size N] < text"));

  const auto average = [](const Strings& arguments) { return run(parse_average_options, arguments); };
  const Strings files = {"out.npz", "a.npz", "b.npz"};
  CHECK(average(files)->files == files);
  CHECK_FALSE(average(files)->is_export);
  for (const Strings& given : std::vector<Strings>{{"--export", "out.npz", "a.npz", "b.npz"},
                                                   {"out.npz", "a.npz", "b.npz", "--export"},
                                                   {"out.npz", "--export", "a.npz", "b.npz"},
                                                   {"--export", "--files", "out.npz", "a.npz", "b.npz"}}) {
    CHECK(average(given)->files == files);
    CHECK(average(given)->is_export);
  }
  CHECK(error_of([&] {
          average({"--exprot", "out.npz", "a.npz"});
        }) == "command line: unknown option 'exprot'; did you mean 'export'?");
  CHECK(error_of([&] { average({"out.npz"}); }) == "1 file given, must be OUT.npz and one IN.npz or more. See --help");
  CHECK(output_of([&] { CHECK_FALSE(average({"--help"})); }).starts_with("Usage: bough-average [--export] OUT.npz"));
  CHECK_FALSE(output_of([&] { CHECK_FALSE(average({"--version"})); }).empty());

  const auto report = [](const Strings& arguments) { return run(parse_report_options, arguments); };
  CHECK(report({"a", "b"})->files == Strings{"a", "b"});
  CHECK(report({"a"})->output == "stdout");
  for (const Strings& given : std::vector<Strings>{{"a", "-o", "c", "b"}, {"--output", "c", "--files", "a", "b"}}) {
    CHECK(report(given)->files.front() == "a");
    CHECK(report(given)->output == "c");
  }
  CHECK(error_of([&] { report({}); }) ==
        "no file given, must be model.npz.metrics.jsonl of one run or more. See --help");
  CHECK(output_of([&] { CHECK_FALSE(report({"-h"})); }).starts_with("Usage: bough-report model.npz.metrics.jsonl"));
}

TEST_CASE("docs/options.md is what the tables say", "[settings]") {
  std::ifstream in(fs::path(BOUGH_SOURCE_DIR) / "docs" / "options.md");
  const std::string committed{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  INFO("run test/generate_docs.sh");
  CHECK((committed == options_markdown()));
}

TEST_CASE("write docs/options.md", "[.generate-docs]") {
  std::ofstream(fs::path(BOUGH_SOURCE_DIR) / "docs" / "options.md") << options_markdown();
}
