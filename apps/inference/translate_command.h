#pragma once
#include "apps/inference/translate_options.h"

namespace bough {

/// bough-translate: lines of options.input (a file, .gz, or "stdin") to lines of options.output, in order.
/// Every input line gives a line (n-best: a block of lines). Throws Error, or OutputClosed when nobody reads
/// standard output any more.
void run_translate(const TranslateOptions& options);

}  // namespace bough
