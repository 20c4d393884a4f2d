#include "apps/training/validation_options.h"

#include <algorithm>

namespace bough {
namespace {

const EnumNames<StopOn> stop_on_names = {{"first", StopOn::first}, {"all", StopOn::all}, {"any", StopOn::any}};

EnumNames<const ValidationMetric*> metric_names() {
  EnumNames<const ValidationMetric*> names;
  for (const ValidationMetric& metric : validation_metrics()) names.emplace_back(metric.name, &metric);
  return names;
}

}  // namespace

void ValidationOptions::settings(Settings& v) {
  v.group("Validation");
  v(valid_sets, "valid-sets",
    "parallel files to validate on, source first; none = no validation, but by valid-script alone", Path{});
  v(valid_freq, "valid-freq", "validate every this many updates or target tokens", updates_or_labels);
  v(valid_first, "valid-first", "also validate before the first update, as for a model that is trained on");
  v(metrics, "valid-metrics",
    "what to measure; one decode of the set serves all that need translations. bleu = bleu-detok "
    "(13a), chrf and ter as bough-score's, translation = the number that valid-script-path prints",
    metric_names());
  v(mini_batch, "valid-mini-batch", "sentences of a validation batch", Range<int>{1});
  v(max_length, "valid-max-length", "cut sentences to this many tokens", Range<int>{1});
  output_settings(v);
  stopping_settings(v);
}

void ValidationOptions::output_settings(Settings& v) {
  v(log_file, "valid-log", "append the validation lines of the log to this file, too", Path{Path::log});
  v(script_path, "valid-script-path",
    "shell command for the metrics translation and valid-script; it is given the file to judge and "
    "prints a number",
    Path{.or_words = true});
  v(script_args, "valid-script-args",
    "arguments put before that file's name, each one word to the shell, whatever is in it",
    Path{.use = Path::argument, .or_words = true});
  v(translation_output, "valid-translation-output",
    "write the translations of each validation whose metrics need them here, packed if the name ends in .gz; {E} {B} "
    "{U} {T} in the name become epoch, batches, updates, tokens",
    Path{Path::output});
  v(quiet, "quiet-validation", "no sample of translations in the log");
}

void ValidationOptions::stopping_settings(Settings& v) {
  v.group("Early stopping");
  v(early_stopping, "early-stopping", "stop after this many validations in a row without improvement; 0 = never",
    Range<int>{0});
  v(early_stopping_on, "early-stopping-on", "which metrics must have stalled: the first one, all, or any",
    stop_on_names);
  v(early_stopping_epsilon, "early-stopping-epsilon",
    "least improvement that counts: one value, or one for each metric", Range<double>{0});
  v(keep_best, "keep-best", "save the model that is best in each metric as model.npz.best-METRIC.npz");
  v(reset_stalled, "valid-reset-stalled", "forget the stalls counted before this start");
  v(reset_all, "valid-reset-all", "forget stalls and best values from before this start");
}

bool ValidationOptions::measures() const {
  return !metrics.empty() && (!valid_sets.empty() || std::ranges::all_of(metrics, &ValidationMetric::needs_parameters));
}

void ValidationOptions::validate() const {
  check(early_stopping_epsilon.size() == 1 || early_stopping_epsilon.size() == metrics.size(),
        "early-stopping-epsilon has {} values, must have 1{}", early_stopping_epsilon.size(),
        metrics.size() == 1 ? "" : fmt::format(", or {}: one for each of valid-metrics", metrics.size()));
  for (const ValidationMetric* metric : metrics) {
    check(std::ranges::count(metrics, metric) == 1, "valid-metrics has {} twice, must have each once", metric->name);
    check(!metric->is_script() || !script_path.empty(), "valid-metrics has {}, which needs valid-script-path",
          metric->name);
  }
}

}  // namespace bough
