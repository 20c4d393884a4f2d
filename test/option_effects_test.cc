// What stands behind the rows of the settings tables.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "apps/inference/text_encoder.h"
#include "apps/option_parser.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/base/settings_reader.h"
#include "test/catch.h"
#include "test/scratch_folder.h"
#include "test/throws.h"
#include "test_paths.h"

using namespace bough;
namespace fs = std::filesystem;

namespace {

const fs::path source_folder = BOUGH_SOURCE_DIR;

/// Everywhere where structs list options: `*options.h`.
std::vector<fs::path> option_headers() {
  std::vector<fs::path> headers;
  for (const char* folder : {"apps", "core", "data", "layers", "optim"})
    for (const auto& entry : fs::recursive_directory_iterator(source_folder / folder))
      if (entry.path().filename().string().ends_with("options.h")) headers.push_back(entry.path());
  return headers;
}

/// The sources of the product without the rows themselves, `v(member, "name", ...)`.
std::string sources_without_rows() {
  std::string all;
  for (const char* folder : {"apps", "core", "data", "layers", "optim"})
    for (const auto& entry : fs::recursive_directory_iterator(source_folder / folder)) {
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);)
        if (!std::regex_search(line, std::regex(R"(^\s*(v\(|v\.items\($|//))"))) all += line + "\n";
    }
  return all;
}

template <class Parse>
std::string message(Parse parse, std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "bough");
  return message_of([&] { parse(int(arguments.size()), arguments.data()); });
}

}  // namespace

TEST_CASE("every member that an option sets is read somewhere", "[settings]") {
  const std::string sources = sources_without_rows();
  std::map<std::string, int> words;
  const std::regex word(R"([A-Za-z_]\w*)");
  for (auto it = std::sregex_iterator(sources.begin(), sources.end(), word); it != std::sregex_iterator(); ++it)
    ++words[it->str()];
  int members = 0;
  for (const fs::path& header : option_headers()) {
    std::ifstream in(header);
    const std::regex member(R"(^  [A-Za-z_][\w:<>, ]* (\w+)( = [^;]*|\{[^;]*\})?;)");
    for (std::string line; std::getline(in, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, member)) continue;
      INFO(header.string() << ": " << match[1].str());
      CHECK(words[match[1].str()] >= 2);  // its declaration, and a use
      ++members;
    }
  }
  CHECK(members > 100);
}

TEST_CASE("max-length-crop asks for what is otherwise a warning", "[settings]") {
  const ScratchFolder folder;
  write_file(folder / "vocabulary.txt", "</s>\n<unk>\na\n");
  const auto warnings = [&](bool is_asked) {
    const std::string path = folder / (is_asked ? "asked.log" : "log");
    log::configure({path, log::Level::warn, true, ""});
    TextEncoder encoder("input", load_vocabulary(folder / "vocabulary.txt"), 3, false, is_asked);
    CHECK(encoder.encode("a a a a", 1).size() == 2);
    CHECK(encoder.encode("a a a a", 2).size() == 2);
    log::configure({});
    std::ifstream in(path);
    int lines = 0;
    for (std::string line; std::getline(in, line);) ++lines;
    return lines;
  };
  CHECK(warnings(false) == 1);
  CHECK(warnings(true) == 0);
}

TEST_CASE("where nothing is random, a seed is accepted and checked", "[settings]") {
  const std::vector<const char*> base = {"-m", "m.npz", "-v", "a", "b"};
  const auto translate = [&](std::vector<const char*> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return message(parse_translate_options, more);
  };
  CHECK(translate({"--seed", "1111", "--data-threads", "16"}) == "no exception");
  CHECK(translate({"--seed", "x"}) == "command line: seed is 'x', must be a whole number");
  ModelScorerOptions options;
  CHECK(dump(options).find("seed") == nullptr);
}

TEST_CASE("sampling: its seed is kept, and no wrong rule is taken", "[settings]") {
  const auto translate = [](std::vector<const char*> more) {
    more.insert(more.begin(), {"bough", "-m", "m.npz", "-v", "a", "b"});
    return parse_translate_options(int(more.size()), more.data());
  };
  CHECK(translate({"--seed", "1111"})->decoding.seed == 1111);
  CHECK(translate({})->decoding.seed != 0);  // from the clock
  CHECK(translate({"--output-sampling"})->decoding.sampling.words == SamplingRule::Words::all);
  CHECK(translate({"--output-sampling", "topk", "10"})->decoding.sampling.limit == 10);
  CHECK(translate({"--output-sampling", "false"})->decoding.hypotheses() == 12);
  CHECK(translate({"--skip-cost", "-b", "1"})->decoding.skips_softmax());
  CHECK(!translate({"--skip-cost", "-b", "2"})->decoding.skips_softmax());
  CHECK(!translate({"--skip-cost", "-b", "1", "--n-best"})->decoding.skips_softmax());
  CHECK(
      message_of([&] {
        translate({"--output-sampling", "topk", "0"});
      }) ==
      "command line: output-sampling is 'topk 0', must be full [T], topk K [T], nucleus P [T] or epsilon E [T]; T > 0, "
      "K >= 1, P and E in (0, 1]");
}

TEST_CASE("inputs of bough-translate: files and fields", "[settings]") {
  const auto translate = [](std::vector<const char*> more) {
    more.insert(more.begin(), {"-m", "m.npz", "-v", "a", "b"});
    return message(parse_translate_options, more);
  };
  CHECK(translate({"-i", "a.src", "b.src"}) == "input has 2 files, must have 1: a model has one source");
  CHECK(translate({"-i", "a.src", "a.begin", "--force-decode"}) == "no exception");
  CHECK(translate({"-i", "a.src", "--force-decode"}).find("input has 1 file, must have 2 with force-decode") == 0);
  CHECK(translate({"-i", "a.tsv", "b.tsv", "--tsv"}) == "input has 2 files, must have 1 with tsv");
  CHECK(translate({"--tsv", "--force-decode", "--tsv-fields", "1"}) ==
        "tsv-fields is 1, must be at least 2: the source, and what translations begin with");
  CHECK(translate({"--tsv", "--tsv-fields", "4"}) == "no exception");
  CHECK(translate({"-i", "-", "stdin", "--force-decode"}).find("input is standard input twice") == 0);
}

TEST_CASE("options of model scoring that exclude each other say so", "[settings]") {
  const auto score = [](std::vector<const char*> more) {
    more.insert(more.begin(), {"-t", "a", "b", "-v", "a", "b"});
    return message(parse_model_scorer_options, more);
  };
  CHECK(score({"--n-best", "--word-scores"}).find("word-scores and n-best are both given") == 0);
  CHECK(score({"--summary", "--word-scores"}).find("summary prints one number over all sentences, word-scores") == 0);
  CHECK(score({"--n-best", "-n"}) == "no exception");
  CHECK(score({"--weights", "1", "2"}).find("weights has 2 numbers, must have 1") == 0);
  CHECK(score({"--weights", "-1"}) == "command line: weights is '-1', must be a number in [0, 1e+30]");
  CHECK(score({"--n-best", "--tsv"}).find("tsv and n-best are both given") == 0);
  CHECK(score({"--tsv"}) == "train-sets has 2 files, must have 1 with tsv");
}

TEST_CASE("options of word alignments", "[settings][alignment]") {
  const auto train = [](std::vector<const char*> more) {
    more.insert(more.begin(), {"-t", "a", "b", "-v", "a", "b", "--no-reload", "--dec-depth", "3"});
    return message(parse_train_options, more);
  };
  CHECK(train({"--guided-alignment", "a.align", "--guided-alignment-weight", "0.5"}) == "no exception");
  for (const char* cost : {"mse", "mult"})
    CHECK(train({"--guided-alignment", "a.align", "--guided-alignment-cost", cost})
              .find(fmt::format("guided-alignment-cost is '{}', must be ce", cost)) == 0);
  CHECK(train({"--guided-alignment", "a.align", "--right-left"}).find("guided-alignment and right-left") == 0);
  for (const char* layer : {"0", "4", "first", "2x"})
    CHECK(train({"--transformer-guided-alignment-layer", layer}) ==
          fmt::format("transformer-guided-alignment-layer is '{}', must be last or a decoder layer, 1 to 3", layer));
  CHECK(train({"--transformer-guided-alignment-layer", "3"}) == "no exception");
  CHECK(train({"--multi-loss-type", "mean"}).find("multi-loss-type") != std::string::npos);

  const ScratchFolder folder;
  write_file(folder / "c.yml", "relative-paths: true\nguided-alignment: a.align\n");
  write_file(folder / "none.yml", "relative-paths: true\nguided-alignment: none\n");
  write_file(folder / "field.yml", "relative-paths: true\nguided-alignment: 2\ntsv: true\ntrain-sets: [a]\n");
  const auto path_in = [&](const char* file) {
    const std::string config = folder / file;
    std::vector<const char*> arguments{"bough", "-c", config.c_str(), "-v", "a", "b", "--no-reload"};
    if (std::string(file) != "field.yml") arguments.insert(arguments.end(), {"-t", "a", "b"});
    return parse_train_options(int(arguments.size()), arguments.data())->corpus.guided_alignment;
  };
  CHECK(path_in("c.yml") == folder / "a.align");
  CHECK(path_in("none.yml") == "none");
  CHECK(path_in("field.yml") == "2");
  // A shell command is no file; an argument that names one may be what this program writes, too.
  write_file(folder / "judge.sh", "");
  write_file(folder / "scripts.yml",
             "relative-paths: true\ntrain-sets: [a, b]\nvocabs: [a, b]\nvalid-script-path: bash judge.sh\n"
             "model: m.npz\nvalid-script-args: [judge.sh, -x, m.npz]\n");
  const std::string config = folder / "scripts.yml";
  const std::vector<const char*> arguments{"bough", "-c", config.c_str(), "--no-reload"};
  const auto scripts = parse_train_options(int(arguments.size()), arguments.data())->validation;
  ValidationOptions validation = scripts;
  validation.valid_sets = {"a", "b"};
  CHECK(validation.measures());
  validation.metrics = {};
  CHECK_FALSE(validation.measures());
  CHECK(scripts.script_path == "bash judge.sh");
  CHECK(scripts.script_args == std::vector<std::string>{folder / "judge.sh", "-x", "m.npz"});

  const auto translate = [](const char* alignment) {
    return message(parse_translate_options, {"-m", "m.npz", "-v", "a", "b", "--alignment", alignment});
  };
  CHECK(translate("soft") == "no exception");
  CHECK(translate("softly").find("alignment is 'softly', must be hard, soft, or a share") == 0);
}

TEST_CASE("tsv-fields is the two sides", "[settings]") {
  const auto train = [](std::vector<const char*> more) {
    more.insert(more.begin(), {"-t", "a", "-v", "a", "b", "--no-reload"});
    return message(parse_train_options, more);
  };
  CHECK(train({"--tsv", "--tsv-fields", "2"}) == "no exception");
  CHECK(train({"--tsv", "--tsv-fields", "3"}).find("tsv-fields is 3, must be 2") == 0);
  CHECK(train({"--tsv-fields", "2"}).find("tsv-fields is given without tsv") == 0);
}
