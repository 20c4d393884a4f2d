// bough-vocab: the words of standard input as a vocabulary file, like marian-vocab.
#include "apps/option_parser.h"
#include "core/base/io.h"
#include "core/base/program.h"
#include "core/base/text_output.h"
#include "data/dictionary.h"
#include "data/parallel_reader.h"

namespace {

using namespace bough;

void make_vocabulary(int64_t max_size) {
  check_not_input("standard output", "stdout", "standard input", "stdin");
  TokenCounts counts;
  LineReader reader("stdin");
  for (std::string line; reader.next(line);) {
    check_text(line, "standard input", reader.line_number());
    count_tokens(line, counts);
  }
  TextOutput output("stdout");
  output.write(format_dictionary(tokens_by_frequency(counts, max_size)));
  output.close();
}

}  // namespace

int main(int argc, char** argv) {
  return bough::run_program("bough-vocab", [&] {
    if (const auto options = parse_vocab_options(argc, argv)) make_vocabulary(options->max_size);
    return 0;
  });
}
