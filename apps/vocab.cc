// bough-vocab: the words of standard input as a vocabulary file, like marian-vocab.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>

#include "core/base/error.h"
#include "core/base/io.h"
#include "data/dictionary.h"
#include "data/parallel_reader.h"

namespace {

using namespace bough;

constexpr auto help_text =
    "Usage: bough-vocab [--max-size N] < text > vocabulary.yml\n"
    "Writes the words of standard input (separated by white space) as a YAML dictionary `word: "
    "id`,\n"
    "most frequent first, after </s>: 0 and <unk>: 1.\n\n"
    "  -m, --max-size N  keep at most N entries, those two included; 0 = all (default)\n"
    "  -h, --help        print this and exit\n";

int64_t parse_size(std::string_view text) {
  int64_t size = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  check(error == std::errc() && end == text.data() + text.size() && size >= 0,
        "--max-size = '{}', must be a whole number from 0. Correct it.", text);
  return size;
}

/// The value of --max-size; nothing if help was asked for.
std::optional<int64_t> parse_arguments(int argc, char** argv) {
  int64_t max_size = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "-h" || argument == "--help") return std::nullopt;
    if (argument.starts_with("--max-size=")) {
      max_size = parse_size(argument.substr(argument.find('=') + 1));
      continue;
    }
    check(argument == "-m" || argument == "--max-size",
          "unknown argument '{}'; bough-vocab reads standard input and knows --max-size and --help.", argument);
    check(i + 1 < argc, "{} needs a value: a number of entries.", argument);
    max_size = parse_size(argv[++i]);
  }
  return max_size;
}

void print(std::string_view text) {
  const bool done = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  check(done, "standard output cannot be written. Check that the disk is not full.");
}

void make_vocabulary(int64_t max_size) {
  TokenCounts counts;
  LineReader reader("stdin");
  for (std::string line; reader.next(line);) {
    check_text(line, "standard input", reader.line_number());
    count_tokens(line, counts);
  }
  print(format_dictionary(tokens_by_frequency(counts, max_size)));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (const auto max_size = parse_arguments(argc, argv))
      make_vocabulary(*max_size);
    else
      print(help_text);
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "bough-vocab: {}\n", error.what());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bough-vocab: internal error, please report: {}\n", error.what());
    return 2;
  }
}
