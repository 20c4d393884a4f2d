#include "apps/training/display_options.h"

namespace bough {

const EnumNames<CostType> cost_type_names = {{"ce-sum", CostType::ce_sum},
                                             {"ce-mean", CostType::ce_mean},
                                             {"ce-mean-words", CostType::ce_mean_words},
                                             {"perplexity", CostType::perplexity},
                                             {"cross-entropy", CostType::ce_mean}};  // Marian's older name

int64_t LogicalEpoch::finished(const TrainingClock& clock) const {
  const int64_t passed = clock.in(period.unit) - (period.unit == ScheduleUnit::epochs ? 1 : 0);
  return passed / period.count;
}

std::string LogicalEpoch::text(const TrainingClock& clock) const { return fmt::format("{:.{}f}", at(clock), digits); }

bool parse_items(const std::vector<std::string>& items, LogicalEpoch& value) {
  constexpr int most_digits = 9;
  LogicalEpoch parsed;
  if (items.empty() || items.size() > 2 || !parse_value(items[0], parsed.period) || !parsed.period) return false;
  parsed.digits = parsed.is_usual() ? 0 : 3;
  if (items.size() == 2 && !parse_value(items[1], parsed.digits)) return false;
  if (parsed.digits < 0 || parsed.digits > most_digits) return false;
  value = parsed;
  return true;
}

std::vector<std::string> format_items(const LogicalEpoch& value) {
  return {format_value(value.period), format_value(value.digits)};
}

void DisplayOptions::settings(Settings& v) {
  v.group("Log of training");
  v(disp_freq, "disp-freq", "log a line every this many updates or target tokens", updates_or_labels);
  v(disp_first, "disp-first", "also log each of the first N updates", Range<int64_t>{0});
  v(cost_type, "cost-type",
    "how the training loss is shown: per sentence (ce-mean), per target token (ce-mean-words), its "
    "exponential (perplexity), or ce-sum. Gradients do not depend on it",
    cost_type_names);
  v(disp_label_counts, "disp-label-counts", "show ce-sum as 'loss per token * tokens' instead of one sum");
  v.items(
      logical_epoch, "logical-epoch",
      "what the log and after call an epoch: so many passes through the corpus (2e), updates (10Ku) or target tokens "
      "(1Gt); then digits shown behind the decimal point (3; none for 1e)",
      "a period such as 1e or 1Gt, and digits: 1Gt 2");
  v(gradient_norm_average_window, "gradient-norm-average-window",
    "updates over which the gradient norm shown is averaged", Range<int>{1});
  v(log_layer_norms, "log-layer-norms",
    "every this many updates or target tokens, add a line with norms of each layer's gradient and update, and "
    "of each branch against its residual, to the file of metrics; 0 = never",
    updates_or_labels);
  v(log_model_update, "log-model-update",
    "in those updates also measure how far they move the decoder's output: one more forward pass");
  v(metrics, "metrics",
    "file of this model that gets the numbers of every log line as JSON; a run that begins anew keeps what is there as "
    "FILE.old. none = <model>.metrics.jsonl",
    Path{Path::output});
}

}  // namespace bough
