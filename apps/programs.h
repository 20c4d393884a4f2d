#pragma once
#include "apps/option_parser.h"

namespace bough {

/// The name of the program that has these options.
template <class Options>
inline constexpr const char* program_of = "";
template <>
inline constexpr const char* program_of<TrainOptions> = "bough-train";
template <>
inline constexpr const char* program_of<TranslateOptions> = "bough-translate";
template <>
inline constexpr const char* program_of<ModelScorerOptions> = "bough-score";
template <>
inline constexpr const char* program_of<VocabOptions> = "bough-vocab";
template <>
inline constexpr const char* program_of<AverageOptions> = "bough-average";
template <>
inline constexpr const char* program_of<ReportOptions> = "bough-report";

/// What --help says before the options, after "Usage: program ".
template <class Options>
inline constexpr const char* usage_of =
    "[-c config.yml] [--option value ...]\n\n"
    "Every option can stand in the YAML file, too (option: value). N is a number, PERIOD a number of\n"
    "updates (4000u, 2ku), target tokens (2Gt) or epochs (10e), [X] may be left out, ... is a list.\n";
template <>
inline constexpr const char* usage_of<TranslateOptions> =
    "[-c config.yml] [--option value ...] < text > translation\n\n"
    "Every option can stand in the YAML file, too (option: value). N is a number, [X] may be left out,\n"
    "... is a list.\n";
template <>
inline constexpr const char* usage_of<ModelScorerOptions> =
    "--model model.npz --vocabs SOURCE TARGET --train-sets SOURCE TARGET [-c config.yml] [--option value ...]\n\n"
    "Prints the log-probability of every target line. Every option can stand in the YAML file, too\n"
    "(option: value). N is a number, [X] may be left out, ... is a list.\n";
template <>
inline constexpr const char* usage_of<VocabOptions> =
    "[--max-size N] < text > vocabulary.yml\n\n"
    "Writes the words of standard input (separated by white space) as a YAML dictionary `word: id`,\n"
    "most frequent first, after </s>: 0 and <unk>: 1.\n";
template <>
inline constexpr const char* usage_of<AverageOptions> =
    "[--export] OUT.npz IN.npz [IN.npz ...]\n"
    "       bough-average OUT.bin IN.npz [IN.npz ...] --export-int8 [--calibrate TEXT --vocabs SOURCE TARGET]\n\n"
    "Writes the mean of the models IN, checkpoints of one run, as OUT.\n";
template <>
inline constexpr const char* usage_of<ReportOptions> =
    "model.npz.metrics.jsonl [other/model.npz.metrics.jsonl ...] > report.html\n\n"
    "Writes a page for a browser that shows the runs whose metrics are given, over each other: loss,\n"
    "validation, learning rate, alpha, gradient norm, speed, and what log-layer-norms logged. Nothing\n"
    "is loaded from elsewhere. A run may still be going on.\n";

}  // namespace bough
