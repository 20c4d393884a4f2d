// bough-score: scores translations against references (sacreBLEU's command line) or by a model.
#include <unistd.h>

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "apps/score_command.h"

int main(int argc, char** argv) {
  constexpr int user_error = 1, our_error = 2;
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (bough::asks_for_model_scores(arguments)) {
      std::cerr << "bough-score: --model given, must be references: this build cannot score by a "
                   "model yet. Leave --model away, or use -m bleu, chrf or ter.\n";
      return user_error;
    }
    return bough::run_score(arguments, std::cout, std::cerr, isatty(STDOUT_FILENO) == 1);
  } catch (const std::exception& error) {
    std::cerr << "bough-score: internal error, please report: " << error.what() << '\n';
    return our_error;
  }
}
