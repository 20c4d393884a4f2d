// bough-score: scores translations against references (sacreBLEU's command line) or by a model.
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "apps/inference/model_scorer.h"
#include "apps/option_parser.h"
#include "apps/scoring/command.h"
#include "core/base/program.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  return bough::run_program("bough-score", [&] {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (bough::asks_for_model_scores(arguments)) {
      if (const auto options = bough::parse_model_scorer_options(argc, argv)) bough::run_model_scorer(*options);
      return 0;
    }
    return bough::run_score(arguments, std::cout, std::cerr, isatty(STDOUT_FILENO) == 1);
  });
}
