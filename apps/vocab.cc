// bough-vocab: the words of standard input as a vocabulary file, like marian-vocab.
#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "apps/option_parser.h"
#include "core/base/error.h"
#include "core/base/io.h"
#include "core/base/program.h"
#include "data/dictionary.h"
#include "data/parallel_reader.h"

namespace {

using namespace bough;

void print(std::string_view text) {
  const bool done = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  check(done, "standard output cannot be written. Check that the disk is not full.");
}

void make_vocabulary(int64_t max_size) {
  check_not_input("standard output", "stdout", "standard input", "stdin");
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
  return bough::run_program("bough-vocab", [&] {
    if (const auto options = parse_vocab_options(argc, argv)) make_vocabulary(options->max_size);
    return 0;
  });
}
