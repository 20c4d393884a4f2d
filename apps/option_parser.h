#pragma once
#include <optional>
#include <string>

#include "apps/inference/model_scorer_options.h"
#include "apps/inference/translate_options.h"
#include "apps/tool_options.h"
#include "apps/training/train_options.h"

namespace bough {

/// Parse the command line and the files it names, resolve, validate, and open the log. nullopt: the
/// program was asked for --help, --version, --build-info or --dump-config, which went to stdout; it
/// should exit with 0. Error: one sentence saying where (file and line), what is wrong and what to
/// do; one such line for each unknown or unsupported option.
std::optional<TrainOptions> parse_train_options(int argc, const char* const* argv);
std::optional<TranslateOptions> parse_translate_options(int argc, const char* const* argv);
std::optional<ModelScorerOptions> parse_model_scorer_options(int argc, const char* const* argv);
/// Without files and log.
std::optional<VocabOptions> parse_vocab_options(int argc, const char* const* argv);
std::optional<AverageOptions> parse_average_options(int argc, const char* const* argv);
std::optional<ReportOptions> parse_report_options(int argc, const char* const* argv);

/// docs/options.md: the options of all programs as tables.
std::string options_markdown();

}  // namespace bough
