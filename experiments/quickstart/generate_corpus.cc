// Writes the parallel corpus of experiments/quickstart.sh: TRAIN, DEV and TEST sentence pairs that
// all differ, as train.en, train.de, dev.en, ... in FOLDER.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>

#include "core/base/error.h"
#include "core/base/files.h"
#include "experiments/quickstart/corpus.h"

using namespace bough;

namespace {

std::size_t parse_size(const char* text) {
  std::size_t value = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  check(error == std::errc{} && stop == end && value <= 10000000,
        "example corpus: '{}' is not a number of sentences; give a whole number", text);
  return value;
}

constexpr auto usage = "usage: bough-example-corpus FOLDER [TRAIN DEV TEST [SEED]]  (default: 40000 500 1000 1)";

void generate(int argc, char** argv) {
  check((argc == 2 || argc == 5 || argc == 6) && argv[1][0] != '-', "{}", usage);
  const std::string folder = argv[1];
  const std::size_t sizes[] = {argc > 2 ? parse_size(argv[2]) : 40000, argc > 2 ? parse_size(argv[3]) : 500,
                               argc > 2 ? parse_size(argv[4]) : 1000};
  const std::size_t seed = argc > 5 ? parse_size(argv[5]) : 1;
  const auto corpus = example::make_corpus(sizes[0] + sizes[1] + sizes[2], seed);

  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  std::size_t next = 0;
  for (int part = 0; part < 3; ++part) {
    std::string english, german;
    for (std::size_t i = 0; i < sizes[part]; ++i, ++next) {
      english += corpus[next].english + '\n';
      german += corpus[next].german + '\n';
    }
    const std::string name = folder + "/" + (part == 0 ? "train" : part == 1 ? "dev" : "test");
    write_file(name + ".en", english);
    write_file(name + ".de", german);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (argv[1] == std::string("-h") || argv[1] == std::string("--help"))) return std::puts(usage) < 0;
  try {
    generate(argc, argv);
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
