// bough-score: scores translations against references (sacreBLEU's command line) or by a model.
#include <unistd.h>

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "apps/inference/model_scorer.h"
#include "apps/option_parser.h"
#include "apps/scoring/command.h"
#include "core/base/program_end.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (bough::asks_for_model_scores(arguments)) {
      if (const auto options = bough::parse_model_scorer_options(argc, argv)) bough::run_model_scorer(*options);
      return 0;
    }
    return bough::run_score(arguments, std::cout, std::cerr, isatty(STDOUT_FILENO) == 1);
  } catch (const std::exception& error) {
    return bough::end_program("bough-score", error);
  }
}
