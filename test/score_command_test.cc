// bough-score's command line against sacreBLEU's: test/scoring_cases/cli, b60, b61.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "apps/scoring/command.h"
#include "apps/scoring/input.h"
#include "apps/scoring/options.h"
#include "apps/scoring/word_diff.h"
#include "test/catch.h"
#include "test/scoring_files.h"
#include "test_paths.h"

using namespace scoring;

namespace {

struct Outcome {
  std::string out;
  int exit_code;
};

std::string quoted(const std::string& argument) {
  std::string text(1, '\'');
  for (const char c : argument) {
    if (c == '\'') text += "'\\'";
    text += c;
  }
  text += '\'';
  return text;
}

/// Runs the program in a folder, as a user does; messages are dropped.
Outcome run_program(const fs::path& folder, const std::vector<std::string>& arguments,
                    const std::string& input = "/dev/null") {
  const std::string program = std::string(BOUGH_BINARY_DIR) + "/bough-score";
  std::string command = fmt::format("cd {} && {}", quoted(folder.string()), quoted(program));
  for (const std::string& argument : arguments) command += fmt::format(" {}", quoted(argument));
  command += fmt::format(" < {} 2>/dev/null", quoted(input));
  Outcome outcome{};
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.out.append(buffer, got);
  const int status = pclose(pipe);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

std::vector<std::string> split_words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

/// A command of the fixtures without its first word, "sacrebleu".
std::vector<std::string> arguments_of(const std::string& command) {
  auto words = split_words(command);
  words.erase(words.begin());
  return words;
}

Outcome run_here(const std::vector<std::string>& arguments) {
  std::ostringstream out, messages;
  const int exit_code = run_score(arguments, out, messages);
  return {exit_code == 0 ? out.str() : messages.str(), exit_code};
}

}  // namespace

TEST_CASE("command lines give sacreBLEU's output and exit code", "[scoring]") {
  const json all = read_json(cases() / "cli" / "cli-behaviours.json");
  CHECK(all.size() == 38);
  for (const json& line : all) {
    INFO(line["name"]);
    const std::string input = line["stdin"].is_null() ? "/dev/null" : line["stdin"];
    const Outcome outcome = run_program(cases() / "cli", line["args"].get<std::vector<std::string>>(), input);
    CHECK(outcome.exit_code == line["exit"].get<int>());
    if (line["name"] == "version") {
      CHECK(outcome.out.find("bough-score ") == 0);  // our own
    } else {
      CHECK(outcome.out == line["stdout"].get<std::string>());
    }
  }
}

TEST_CASE("of threads that read together one reports what is wrong with a file", "[scoring]") {
  const fs::path folder = cases() / "cli";
  const std::vector<std::string> arguments = {folder / "refs-bad.tsv", "-nr", "2", "-i", folder / "hyp3.txt"};
  SegmentReader reader(parse_score_options(arguments));
  SegmentBlock block;
  CHECK_THROWS_AS(reader.next(block), ScoreError);
  CHECK_FALSE(reader.next(block));  // the lines that follow do not belong together
  CHECK(block.lines == 0);
}

TEST_CASE("several metrics and paired tests print as sacreBLEU does", "[scoring]") {
  const fs::path multi = cases() / "b61-multi-metric";
  for (const char* kind : {"json", "scoreonly", "text", "text-ci", "text-short"}) {
    INFO(kind);
    const std::string command = read_file(multi / (std::string("cmd-") + kind + ".txt"));
    CHECK(run_program(multi, arguments_of(command)).out == read_file(multi / (std::string("stdout-") + kind + ".txt")));
  }
  const fs::path paired = cases() / "b60-synth400-paired";
  for (const char* kind : {"bs", "ar"}) {
    INFO(kind);
    const json expected = read_json(paired / (std::string("expected-") + kind + ".json"));
    auto arguments = arguments_of(expected["cli_cmd"]);
    const json result = json::parse(run_program(paired, arguments).out);
    REQUIRE(result.size() == expected["result"].size());
    for (size_t s = 0; s < result.size(); ++s) {
      CHECK(result[s]["system"] == expected["result"][s]["system"]);
      for (const char* metric : {"BLEU", "chrF2", "TER"})
        CHECK(result[s][metric]["p_value"] == expected["result"][s][metric]["p_value"]);
    }
    arguments.insert(arguments.end(), {"-f", "text"});
    CHECK(run_program(paired, arguments).out == read_file(paired / (std::string("expected-") + kind + ".txt")));
  }
}

TEST_CASE("every case by its command line", "[scoring]") {
  for (const json& entry : read_json(cases() / "index.json")) {
    const fs::path folder = cases() / entry["case"].get<std::string>();
    if (!fs::exists(folder / "expected.json")) continue;
    const json expected = read_json(folder / "expected.json");
    INFO(entry["case"]);
    std::vector<std::string> arguments;
    for (const char* name : {"ref.txt", "ref1.txt", "ref2.txt", "ref3.txt"})
      if (fs::exists(folder / name)) arguments.push_back((folder / name).string());
    for (const std::string& more :
         {std::string("-i"), (folder / "hyp.txt").string(), std::string("-w"), std::string("4")})
      arguments.push_back(more);
    for (const std::string& word : split_words(read_file(folder / "args"))) arguments.push_back(word);
    const Outcome outcome = run_here(arguments);
    REQUIRE(outcome.exit_code == 0);
    if (expected.contains("cli_stdout")) {
      CHECK(outcome.out == expected["cli_stdout"].get<std::string>());
    } else {
      CHECK(nlohmann::ordered_json::parse(outcome.out).dump() ==
            nlohmann::ordered_json::parse(read_file(folder / "expected.json"))["cli_json_w4"].dump());
    }
  }
}

TEST_CASE("arguments are read as argparse reads them", "[scoring]") {
  const auto parse = [](std::vector<std::string> arguments) { return parse_score_options(arguments); };
  CHECK(parse({"r", "-w2"}).width == 2);
  CHECK(parse({"r", "--width=3"}).width == 3);
  CHECK(parse({"r", "-w=3"}).width == 3);
  CHECK(parse({"r", "-bw", "3"}).width == 3);
  CHECK(parse({"r", "-bw3"}).is_score_only);
  CHECK(parse({"r", "--metr", "chrf", "ter"}).metric_names.size() == 2);
  CHECK(parse({"-i", "h", "--", "r"}).references == std::vector<std::string>{"r"});
  CHECK(parse({"-w", "3", "r", "-i", "h"}).references.size() == 1);
  CHECK(parse({"r", "-nr", "-1"}).reference_fields == -1);
  CHECK(parse({"r", "-sv", "-.5"}).bleu.smooth_value == -0.5);
  CHECK(parse({"r", "-w 3"}).width == 3);
  CHECK(parse({"-w", "3", "-w", "4"}).width == 4);
  CHECK(parse({"r", "-m", "ter", "-m", "chrf", "bleu"}).metric_names == std::vector<std::string>{"chrf", "bleu"});
  CHECK(parse({"r"}).reads_stdin);
  CHECK_FALSE(parse({"r", "-i"}).reads_stdin);
  CHECK(parse({"r", "-par", "-par"}).paired() == PairedTest::randomisation);
  CHECK(parse({"--foo", "r", "-h", "-w", "x"}).wants_help);
  CHECK(parse({"r", "-tok", "intl", "-s", "floor", "-sv", ".5"}).bleu.smooth_value == 0.5);
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{{"--chrf-w", "2"},
                                                                                     {"--foo"},
                                                                                     {"-to", "13a"},
                                                                                     {"-nr1"},
                                                                                     {"r", "-w", "3", "r2"},
                                                                                     {"-w"},
                                                                                     {"-w", "x"},
                                                                                     {"-m"},
                                                                                     {"-m", "meteor"},
                                                                                     {"-f", "xml"},
                                                                                     {"-par", "-pbs"},
                                                                                     {"-sv", "x"},
                                                                                     {"--lowercase=1"},
                                                                                     {"-w", "+-1"},
                                                                                     {"-w", "yes"},
                                                                                     {"-tok", "false"},
                                                                                     {"-smooth", "exp"},
                                                                                     {"--references", "r"},
                                                                                     {"-w", "x", "-h"},
                                                                                     {"-ci10"}})
    try {
      parse(wrong);
      FAIL("accepted: " << wrong[0]);
    } catch (const ScoreError& error) {
      CHECK(error.exit_code == 2);
    }
}

TEST_CASE("help and errors of bough-score come from the settings tables", "[scoring]") {
  const auto error_of = [](std::vector<std::string> arguments) {
    try {
      parse_score_options(arguments);
    } catch (const ScoreError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(error_of({"r", "--tokenise", "13a"}) == "command line: unknown option 'tokenise'; did you mean 'tokenize'?");
  CHECK(error_of({"r", "--tokenise", "13a", "--wdith=2"}).find("\ncommand line: unknown option 'wdith'") !=
        std::string::npos);
  CHECK(error_of({"r", "-w", "x"}) == "command line: width is 'x', must be a whole number");
  CHECK(error_of({"r", "-m", "bleu", "bleurt"}) ==
        "command line: metrics is 'bleurt', must be one of: bleu, chrf, ter");
  CHECK(error_of({"r", "-f"}).find("format has no value, must have one of: json, text") != std::string::npos);
  CHECK(error_of({"r", "--chrf-w", "2"}).find("could be --chrf-word-order or --chrf-whitespace") != std::string::npos);
  const std::string help = run_here({"--help"}).out;
  for (const char* line : {"\n      references PATH ...", "\n  -i, --input [PATH ...]", "\n  -tok, --tokenize NAME",
                           "\n  -t, --test-set TEXT", "default json)"})
    CHECK(help.find(line) != std::string::npos);
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 100);
}

TEST_CASE("wrong use and wrong input are one sentence and sacreBLEU's exit code", "[scoring]") {
  const std::string folder = (cases() / "cli").string() + "/";
  const std::string ref = folder + "ref3.txt", hyp = folder + "hyp3.txt";
  const std::string again = folder + "hyp3-nonl.txt";
  const std::vector<std::pair<int, std::vector<std::string>>> all = {
      {1, {ref, "-i", "no-such-file"}},
      {1, {ref, "-i", folder}},
      {1, {ref, "-i", hyp, "-t", "wmt14"}},
      {1, {ref, "-i", hyp, "-tok", "ja-mecab"}},
      {1, {ref, "-i", hyp, "-l", "en-ko"}},
      {1, {ref, "-i", hyp, "-l", "zh"}},
      {1, {ref, "-i", hyp, "-w", "-1"}},
      {1, {ref, "-i", hyp, "-cc", "0", "-m", "chrf"}},
      {1, {ref, "-i", hyp, "-e", "no-such-encoding"}},
      {1, {ref, "-i", hyp, again, "-sl"}},
      {1, {ref, "-i", hyp, again, "-par", "-ci"}},
      {1, {ref, "-i", "/dev/null"}},
      {1, {"/dev/null", "-i", "/dev/null"}},
      {1, {ref, "-i", hyp, "--html", "/proc/none/report.html"}},
      {17, {folder + "refs.tsv", "-nr", "3", "-i", hyp}},
      {17, {folder + "refs-bad.tsv", "-nr", "2", "-i", hyp, "-par"}},
      {17, {folder + "refs-bad.tsv", "-nr", "2", "-i", folder + "hyp2.txt"}},
      {1, {folder + "refs-bad.tsv", "-nr", "2", "-i", hyp, "-sl", "-m", "bleu", "chrf"}},
  };
  for (const auto& [exit_code, arguments] : all) {
    const Outcome outcome = run_here(arguments);
    INFO(outcome.out);
    CHECK(outcome.exit_code == exit_code);
    CHECK(outcome.out.size() > 20);
    CHECK(outcome.out.find('\n') == outcome.out.size() - 1);
  }
}

TEST_CASE("results do not depend on the number of threads", "[scoring]") {
  const std::string folder = (cases() / "b60-synth400-paired").string() + "/";
  const auto run_with = [&](const std::string& threads) {
    return run_here({folder + "ref.txt", folder + "sysB.txt", "-i", folder + "sysA.txt", folder + "sysC.txt", "-m",
                     "bleu", "chrf", "ter", "-pbs", "-pbsn", "100", "-j", threads})
        .out;
  };
  CHECK(run_with("1") == run_with("3"));
}

TEST_CASE("the mode follows from the arguments", "[scoring]") {
  const auto asks = [](std::vector<std::string> arguments) { return asks_for_model_scores(arguments); };
  CHECK(asks({"--model", "x"}));
  CHECK(asks({"-c", "x.yml"}));
  CHECK(asks({"-m", "model.npz", "-t", "a", "b"}));
  CHECK(!asks({"r", "-i", "h", "-m", "bleu", "-cc", "4"}));
}

TEST_CASE("reports for people", "[scoring]") {
  const std::string folder = (cases() / "b60-synth400-paired").string() + "/";
  const fs::path html = fs::temp_directory_path() / ("bough-score-" + std::to_string(getpid()));
  const Outcome outcome = run_here({folder + "ref.txt", "-i", folder + "sysA.txt", folder + "sysB.txt", "-m", "bleu",
                                    "ter", "-f", "table", "--html", html.string()});
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.out.find("▶ 64.1 ± 1.8") != std::string::npos);
  CHECK(outcome.out.find("p = 0.0020  worse") != std::string::npos);
  const std::string page = read_file(html);
  fs::remove(html);
  const fs::path packed = html.string() + ".gz";
  CHECK(run_here({folder + "ref.txt", "-i", folder + "sysA.txt", folder + "sysB.txt", "-m", "bleu", "ter", "--html",
                  packed.string()})
            .exit_code == 0);
  CHECK(read_file(packed).starts_with("\x1f\x8b"));
  std::string line;
  CHECK((LineReader(packed.string()).next(line) && line.starts_with("<!doctype html>")));
  fs::remove(packed);
  CHECK(page.find("<!doctype html>") == 0);
  CHECK(page.find("64.1 ± 1.8") != std::string::npos);
  CHECK(page.find("class='wrong'") != std::string::npos);
  CHECK(page.find("</html>") != std::string::npos);
  CHECK(page.find("http") == std::string::npos);  // self-contained
}

TEST_CASE("words in common", "[scoring]") {
  const WordDiff diff = diff_words("the  cat sat 猫が here", "the dog sat 犬が now");
  CHECK(diff.left == std::vector<std::string_view>{"the", "cat", "sat", "猫", "が", "here"});
  CHECK(diff.left_shared == std::vector<bool>{true, false, true, false, true, false});
  CHECK(diff.right_shared == std::vector<bool>{true, false, true, false, true, false});
  CHECK(diff_words("", "a").right_shared == std::vector<bool>{false});
}
