#pragma once
#include <ostream>
#include <span>
#include <string>

namespace bough {

/// True if these arguments of bough-score ask for scores by a model (marian-scorer's mode): they
/// have --model or -c, or -m followed by a name that ends in .npz.
bool asks_for_model_scores(std::span<const std::string> arguments);

/// bough-score in sacreBLEU mode: results to `out`, messages to `messages`. is_terminal: `out` is
/// one, so colors are welcome. Returns the exit code: 0, 1 (input or options), 2 (command line),
/// 17 (number of fields).
int run_score(std::span<const std::string> arguments, std::ostream& out, std::ostream& messages,
              bool is_terminal = false);

}  // namespace bough
