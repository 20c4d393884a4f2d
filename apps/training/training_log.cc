#include "apps/training/training_log.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/files.h"
#include "core/base/log.h"

namespace bough {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

/// Keeps the lines of an interrupted run up to the update that is resumed; a run that begins anew keeps the whole file
/// under another name. Throws Error for a file of something else.
void keep_earlier_lines(const std::string& path, int64_t update) {
  std::ifstream in(path);
  std::string kept;
  bool is_first = true;
  constexpr std::string_view beginning = "{\"epoch\":";
  for (std::string line; std::getline(in, line); is_first = false) {
    check(!is_first || line.starts_with(beginning) || beginning.starts_with(line),  // cut by a kill or a full disk
          "metrics: '{}' holds something else than the metrics of a training, and would be overwritten. Give another "
          "file",
          path);
    if (update == 0) {
      log::info("[train] metrics: '{0}', of an earlier run, becomes '{0}.old'", path);
      std::error_code failed;
      std::filesystem::rename(path, path + ".old", failed);
      if (failed) fail_writing(path + ".old", failed.value());
      return;
    }
    const Json json = Json::parse(line, nullptr, false);
    const auto at = json.is_object() ? json.find("update") : json.end();
    if (at != json.end() && at->is_number() && at->get<double>() <= double(update)) kept += line + "\n";
  }
  write_file(path, kept);
}

double exact_or_zero(double x) { return std::isfinite(x) ? x : 0.0; }

}  // namespace

std::string with_commas(int64_t n) {
  std::string text = std::to_string(n);
  for (int64_t at = int64_t(text.size()) - 3; at > 0; at -= 3) text.insert(size_t(at), ",");
  return text;
}

std::string format_cost(const DisplayOptions& o, const DisplayState& d, const TrainingClock& clock,
                        int64_t last_labels) {
  const double known = double(d.labels - d.lost_labels) / double(std::max<int64_t>(d.labels, 1));
  const auto mean_over = [&](int64_t count) { return d.loss / (known * double(count)); };  // NaN where none is known
  const double per_label = mean_over(d.labels);
  switch (o.cost_type) {
    case CostType::ce_mean_words:
      return fmt::format("{:.8f}", per_label);
    case CostType::perplexity:
      return fmt::format("{:.8f}", std::exp(per_label));
    case CostType::ce_mean:
      return fmt::format("{:.8f}", mean_over(d.sentences));
    case CostType::ce_sum:
      break;
  }
  if (o.disp_label_counts)
    return fmt::format("{:.8f} * {} @ {} after {}", per_label, with_commas(d.labels), with_commas(last_labels),
                       with_commas(clock.labels));
  return fmt::format("{:.8f}", mean_over(d.updates));
}

TrainingLog::TrainingLog(const DisplayOptions& options, Fields fields, const std::string& metrics_path,
                         int64_t resumed_update)
    : options_(options), fields_(fields), metrics_path_(metrics_path), counted_(Clock::now()) {
  if (metrics_path.empty()) return;
  std::error_code unknown;
  if (std::filesystem::is_regular_file(metrics_path, unknown)) keep_earlier_lines(metrics_path, resumed_update);
  json_.emplace(metrics_path);
}

bool TrainingLog::is_due(const TrainingState& s, const TrainingClock& before) const {
  return s.clock.updates <= options_.disp_first || bough::is_due(options_.disp_freq, before, s.clock);
}

void TrainingLog::count_time(DisplayState& display) {
  if (display.updates == 0) return;  // it belongs to the next update
  const auto now = Clock::now();
  display.seconds += std::chrono::duration<double>(now - counted_).count();
  counted_ = now;
}

bool TrainingLog::after_update(TrainingState& s, const TrainingClock& before,
                               const std::function<double()>& branch_scale, bool is_final) {
  if (!is_final) last_labels_ = s.clock.labels - before.labels;
  if (s.display.updates == 0 || (!is_final && !is_due(s, before))) return false;
  count_time(s.display);
  const double seconds = s.display.seconds, speed = double(s.display.labels) / std::max(seconds, 1e-9);
  const double alpha = branch_scale();
  const double fill = s.display.target_fill / double(s.display.updates);
  std::string line =
      fmt::format("Ep. {} : Up. {} : Sen. {} : Cost {} : Time {:.2f}s : {:.2f} words/s : gNorm {:.4f}",
                  options_.logical_epoch.text(s.clock), s.clock.updates, with_commas(s.sentences),
                  format_cost(options_, s.display, s.clock, last_labels_), seconds, speed, s.gradient_norm);
  if (fields_.learning_rate) line += fmt::format(" : L.r. {:.4e}", s.learning_rate);
  if (fields_.alpha) line += fmt::format(" : alpha {:.4f}", alpha);
  if (fill > 0) line += fmt::format(" : fill {:.3f}", fill);
  if (s.skipped_updates) line += fmt::format(" : skipped {}", s.skipped_updates);
  log::info("{}", line);

  Json json{{"epoch", s.clock.epochs},
            {"update", s.clock.updates},
            {"sentences", s.sentences},
            {"labels", s.clock.labels},
            {"cost_mean_words", s.display.loss / double(s.display.labels - s.display.lost_labels)},  // null: unknown
            {"seconds", seconds},
            {"words_per_second", speed},
            {"gradient_norm", exact_or_zero(s.gradient_norm)},
            {"learning_rate", s.learning_rate},
            {"alpha", alpha},
            {"fill", fill},
            {"source_fill", s.display.source_fill / double(s.display.updates)},
            {"skipped_updates", s.skipped_updates}};
  write_json(json.dump());
  s.display = {};
  return true;
}

void TrainingLog::layers(const TrainingState& s, const std::vector<std::string>& layers,
                         const std::vector<std::string>& sites, const std::vector<double>& branch_scales,
                         const LayerReport& report) {
  Json json{{"epoch", s.clock.epochs},
            {"update", s.clock.updates},
            {"labels", s.clock.labels},
            {"layers", layers},
            {"layer_gradient_norms", report.gradient_norms},
            {"layer_update_norms", report.update_norms},
            {"sites", sites},
            {"branch_ratios", report.branch_ratios},
            {"site_alphas", branch_scales}};
  if (report.model_update) json["model_update"] = *report.model_update;
  write_json(json.dump());
}

void TrainingLog::divergence(const TrainingState& s, const std::string& sentence) {
  write_json(
      Json{{"epoch", s.clock.epochs}, {"update", s.clock.updates}, {"labels", s.clock.labels}, {"diverged", sentence}}
          .dump());
}

void TrainingLog::validation(const TrainingState& s, const std::string& metric, double value,
                             const std::string& verdict) {
  log::info("[valid] Ep. {} : Up. {} : {} : {} : {}", options_.logical_epoch.text(s.clock), s.clock.updates, metric,
            float(value), verdict);
  write_json(Json{
      {"epoch", s.clock.epochs},
      {"update", s.clock.updates},
      {"labels", s.clock.labels},
      {"valid", metric},
      {"value",
       value}}.dump());
}

void TrainingLog::write_json(const std::string& line) {
  const int error = json_ ? json_->append(line) : 0;
  if (error == 0 || std::exchange(has_failed_, true)) return;
  log::warn("[train] metrics: '{}' cannot be written ({}); the run goes on, but lines are missing there", metrics_path_,
            std::strerror(error));
}

}  // namespace bough
