#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/manual.h"
#include "core/base/settings.h"
#include "data/metrics/metric.h"

namespace bough {

/// An error that decides the exit code of bough-score: sacreBLEU's 1, 2 (command line) or 17 (the
/// number of fields in a line).
struct ScoreError : Error {
  ScoreError(int exit_code, const std::string& message, std::source_location where = std::source_location::current())
      : Error(message, where), exit_code(exit_code) {}
  int exit_code;
};

/// How results are printed; table is bough's own, for people.
enum class ScoreFormat { json, text, latex, table };
/// How each system is compared with the first one.
enum class PairedTest { none, bootstrap, randomisation };

/// The command line of bough-score in sacreBLEU mode. Names and defaults are sacreBLEU 2.6.0's.
struct ScoreOptions {
  std::vector<std::string> references;
  std::vector<std::string> inputs;  ///< systems, unless reads_stdin
  bool reads_stdin = true;          ///< no --input: the systems come from standard input
  int reference_fields = 1;         ///< -nr: tab-separated references in one file
  std::string encoding = "utf-8";
  std::string language_pair;
  std::vector<std::string> metric_names = {"bleu"};
  bool is_sentence_level = false;

  BleuOptions bleu;  ///< its tokenizer is known after check_score_options()
  std::string tokenizer = "13a";
  bool is_tokenizer_given = false;  ///< else the language pair may choose another
  ChrfOptions chrf;
  TerOptions ter;
  bool is_forced = false;  ///< no warning about tokenized input

  bool with_confidence = false;
  int confidence_samples = 1000;
  bool with_bootstrap = false, with_randomisation = false;  ///< see paired()
  int bootstrap_samples = 1000;
  int randomisation_trials = 10000;
  std::optional<uint64_t> seed = 12345;  ///< SACREBLEU_SEED; nothing = a random one
  int threads = 0;                       ///< 0 = all cores

  ScoreFormat format = ScoreFormat::json;
  bool is_quiet = false, is_short = false, is_score_only = false;
  bool with_details = false;
  bool is_plain = false;  ///< no colors, on terminals neither
  int width = 1;
  std::string html;  ///< also write a report for people to this file

  bool wants_help = false, wants_version = false;
  std::string refused;  ///< an option of sacreBLEU that bough does not have, with the reason

  void settings(Settings& v);

  PairedTest paired() const;
  /// The metrics without repetitions, as sacreBLEU orders them: by name, but as asked for in paired
  /// tests.
  std::vector<Metric> metrics() const;
};

/// Reads arguments as sacreBLEU does, see read_as_argparse(). Throws ScoreError (exit code 2) on what sacreBLEU would
/// refuse there.
ScoreOptions parse_score_options(std::span<const std::string> arguments);

/// Applies SACREBLEU_FORMAT, SACREBLEU_SEED and NO_COLOR.
void apply_environment(ScoreOptions& options);

/// Throws ScoreError (exit code 1) if options contradict each other or need what bough lacks.
void check_score_options(ScoreOptions& options);

std::string score_help();

/// The options of this mode, for the manual page.
std::vector<OptionEntry> score_option_entries();

}  // namespace bough
