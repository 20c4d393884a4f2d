#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bough {

/// Where a line stands on the axes of a report.
struct RunPlace {
  int64_t update = 0, epoch = 0;
  double labels = 0;        ///< target tokens so far; NaN = not logged
  double seconds = 0;       ///< of training so far, without validation and saving
  double timed_labels = 0;  ///< target tokens of these seconds: a file may lack the lines of earlier ones
};

/// Numbers of the log lines that are drawn, and their keys.
struct RunColumn {
  std::string_view key;
  bool is_positive;  ///< 0 stands for what is not known, or not finite
};
inline constexpr std::array run_columns = {RunColumn{"cost_mean_words", true},  RunColumn{"gradient_norm", true},
                                           RunColumn{"learning_rate", false},   RunColumn{"alpha", false},
                                           RunColumn{"words_per_second", true}, RunColumn{"fill", true}};

/// The log lines of a run: columns[c][i] is run_columns[c] at places[i]; NaN where there is none.
struct RunCurves {
  std::vector<RunPlace> places;
  std::array<std::vector<double>, run_columns.size()> columns;
};

/// One validation metric over a run.
struct ValidationCurve {
  std::string metric;
  std::vector<RunPlace> places;
  std::vector<double> values;
};

/// The lines of log-layer-norms: each table is [line][layer or site]; NaN where a number was not finite.
struct RunLayers {
  std::vector<std::string> layers, sites;
  std::vector<RunPlace> places;
  std::vector<std::vector<double>> gradient_norms, update_norms, branch_ratios, site_alphas;
  std::vector<double> model_updates;  ///< NaN where not measured
};

/// What a file of training metrics says of its run.
struct RunMetrics {
  std::string name, path;
  int64_t written = 0;  ///< when the file was, in seconds of the system's clock; 0 = not known
  RunCurves curves;
  std::vector<ValidationCurve> validation;  ///< in the order in which they appear
  RunLayers layers;
  int64_t skipped_updates = 0;
  int64_t damaged_lines = 0;
  std::string divergence;  ///< the sentence of a run that has diverged
};

/// Reads JSON lines as bough-train writes them (`metrics`). `path` as LineReader takes it. Lines that are not whole
/// are left out: a full disk has cut them, or it is the last and the run is writing it. Where the updates of the lines
/// go back, a run has been resumed, and what came after is forgotten. Throws Error naming file and line: a first line
/// that is not JSON, a line that lacks its update, numbers that are none, layers that change; and when no line is one
/// of training metrics.
RunMetrics read_run_metrics(const std::string& path);

/// The file of metrics that `given` means: that of the model, if it is one (.npz).
/// Throws Error when that does not exist.
std::string metrics_file_of(const std::string& given);

/// What tells runs apart: their paths without ".metrics.jsonl" (unless that tells them apart), and without the folders,
/// first and last names that all have in common.
std::vector<std::string> run_names(const std::vector<std::string>& paths);

}  // namespace bough
