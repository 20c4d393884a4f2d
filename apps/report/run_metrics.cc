#include "apps/report/run_metrics.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/io.h"

namespace bough {
namespace {

using Json = nlohmann::json;
constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// One line, and where it stands, for messages.
class MetricsLine {
 public:
  MetricsLine(const Json& json, const std::string& where) : json_(json), where_(where) {}

  bool has(const char* key) const { return json_.contains(key); }
  /// NaN for null, which is how JSON writes what is not finite, and for what is not there.
  double number(std::string_view key) const {
    const auto found = json_.find(std::string(key));
    return found == json_.end() ? none : number(key, *found);
  }
  int64_t count(std::string_view key) const {
    const double value = number(key);
    check(value >= 0 && value < 1e18, "{}: '{}' must be a number from 0. Is it a file of metrics?", where_, key);
    return int64_t(value);
  }
  std::string text(const char* key) const {
    const Json& value = json_.at(key);
    check(value.is_string(), "{}: '{}' is {}, must be text", where_, key, value.type_name());
    return value.get<std::string>();
  }
  std::vector<double> numbers(const char* key, size_t size) const {
    std::vector<double> values;
    for (const Json& item : list(key)) values.push_back(number(key, item));
    check(values.size() == size, "{}: '{}' has {} numbers, must have {}, as many as there are names", where_, key,
          values.size(), size);
    return values;
  }
  /// Names of rows, which `known` are if they are.
  void names(const char* key, std::vector<std::string>& known) const {
    std::vector<std::string> read;
    for (const Json& item : list(key)) {
      check(item.is_string(), "{}: '{}' has {}, must have names", where_, key, item.type_name());
      read.push_back(item.get<std::string>());
    }
    check(known.empty() || read == known, "{}: '{}' are others than before, must be those of one model", where_, key);
    known = std::move(read);
  }

 private:
  double number(std::string_view key, const Json& value) const {
    check(value.is_number() || value.is_null(), "{}: '{}' is {}, must be a number", where_, key, value.type_name());
    return value.is_null() ? none : value.get<double>();
  }
  const Json& list(const char* key) const {
    static const Json empty = Json::array();
    const auto found = json_.find(key);
    if (found == json_.end()) return empty;
    check(found->is_array(), "{}: '{}' is {}, must be a list", where_, key, found->type_name());
    return *found;
  }

  const Json& json_;
  const std::string& where_;
};

RunPlace place_of(const MetricsLine& line) {
  RunPlace place{.update = line.count("update"), .labels = line.number("labels")};
  if (line.has("epoch")) place.epoch = line.count("epoch");
  return place;
}

/// How many of the places are not after `update`.
size_t places_up_to(const std::vector<RunPlace>& places, int64_t update) {
  return size_t(std::ranges::upper_bound(places, update, {}, &RunPlace::update) - places.begin());
}

/// What a resumed run forgets.
void forget_after(RunMetrics& run, int64_t update) {
  const auto cut = [&](std::vector<RunPlace>& places, auto&... tables) {
    const size_t kept = places_up_to(places, update);
    places.resize(kept);
    (tables.resize(kept), ...);
  };
  std::apply([&](auto&... columns) { cut(run.curves.places, columns...); }, run.curves.columns);
  for (ValidationCurve& curve : run.validation) cut(curve.places, curve.values);
  std::erase_if(run.validation, [](const ValidationCurve& curve) { return curve.values.empty(); });
  RunLayers& l = run.layers;
  cut(l.places, l.gradient_norms, l.update_norms, l.branch_ratios, l.site_alphas, l.model_updates);
  run.divergence.clear();
}

void add_log_line(const MetricsLine& line, RunPlace place, RunMetrics& run) {
  const RunPlace before = run.curves.places.empty() ? RunPlace{} : run.curves.places.back();
  const double seconds = line.number("seconds"), labels = seconds * line.number("words_per_second");
  place.seconds = before.seconds + (seconds > 0 ? seconds : 0);
  place.timed_labels = before.timed_labels + (labels > 0 ? labels : 0);
  run.curves.places.push_back(place);
  for (size_t c = 0; c < run_columns.size(); ++c) {
    const double value = line.number(run_columns[c].key);
    run.curves.columns[c].push_back(run_columns[c].is_positive && !(value > 0) ? none : value);
  }
  if (line.has("skipped_updates")) run.skipped_updates = line.count("skipped_updates");
}

void add_validation(const MetricsLine& line, const RunPlace& place, RunMetrics& run) {
  const std::string metric = line.text("valid");
  auto curve = std::ranges::find(run.validation, metric, &ValidationCurve::metric);
  if (curve == run.validation.end()) curve = run.validation.insert(curve, {metric, {}, {}});
  curve->places.push_back(place);
  curve->values.push_back(line.number("value"));
}

void add_layers(const MetricsLine& line, const RunPlace& place, RunLayers& l) {
  line.names("layers", l.layers);
  line.names("sites", l.sites);
  l.places.push_back(place);
  l.gradient_norms.push_back(line.numbers("layer_gradient_norms", l.layers.size()));
  l.update_norms.push_back(line.numbers("layer_update_norms", l.layers.size()));
  l.branch_ratios.push_back(line.numbers("branch_ratios", l.sites.size()));
  l.site_alphas.push_back(line.numbers("site_alphas", l.sites.size()));
  l.model_updates.push_back(line.number("model_update"));
}

void add_line(const MetricsLine& line, RunMetrics& run, int64_t& last_update) {
  const RunPlace place = place_of(line);
  if (place.update < last_update) forget_after(run, place.update);
  last_update = place.update;
  if (line.has("valid")) {
    add_validation(line, place, run);
  } else if (line.has("layers")) {
    add_layers(line, place, run.layers);
  } else if (line.has("diverged")) {
    run.divergence = line.text("diverged");
  } else {
    add_log_line(line, place, run);
  }
}

/// Seconds of the places that have none of their own: on the line between the log lines around them.
void set_seconds(std::vector<RunPlace>& places, const std::vector<RunPlace>& logged) {
  for (RunPlace& place : places) {
    const auto next = std::ranges::lower_bound(logged, place.update, {}, &RunPlace::update);
    const RunPlace before = next == logged.begin() ? RunPlace{} : *std::prev(next);
    const RunPlace after = next == logged.end() ? before : *next;
    const double updates = double(after.update - before.update);
    const double share = updates > 0 ? double(place.update - before.update) / updates : 0;
    place.seconds = before.seconds + share * (after.seconds - before.seconds);
  }
}

std::string called(const std::string& path) { return is_stdin(path) ? "standard input" : path; }

int64_t time_of_writing(const std::string& path) {
  struct stat status {};
  return is_stdin(path) || stat(path.c_str(), &status) != 0 ? 0 : int64_t(status.st_mtime);
}

std::string without_endings(std::string path) {
  for (const std::string_view ending : {".gz", ".metrics.jsonl"})
    if (path.ends_with(ending)) path.resize(path.size() - ending.size());
  return path;
}

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

/// How many first parts all have in common, not counting the last `reserved` of any.
size_t common_parts(const std::vector<std::vector<std::string>>& paths, size_t reserved) {
  for (size_t n = 0;; ++n)
    for (const auto& parts : paths)
      if (parts.size() <= n + reserved || parts[n] != paths[0][n]) return n;
}

/// Without what all have in common, first and last.
std::vector<std::string> short_names(const std::vector<std::string>& paths) {
  std::vector<std::vector<std::string>> all;
  for (const std::string& path : paths) all.push_back(parts_of(path));
  if (all.size() > 1) {
    const size_t first = common_parts(all, 1);
    for (auto& parts : all) parts = {parts.rbegin(), parts.rend() - std::ptrdiff_t(first)};
    const size_t last = common_parts(all, 1);
    for (auto& parts : all) parts = {parts.rbegin(), parts.rend() - std::ptrdiff_t(last)};
  }
  std::vector<std::string> names;
  for (const auto& parts : all) names.push_back(fmt::format("{}", fmt::join(parts, "/")));
  return names;
}

}  // namespace

RunMetrics read_run_metrics(const std::string& path) {
  RunMetrics run{.path = called(path), .written = time_of_writing(path)};
  LineReader reader(path);
  int64_t last_update = 0, lines = 0;
  bool is_damaged = false;  // the line before
  for (std::string text; reader.next(text);) {
    check(!is_damaged || lines > 0, "{} line 1: no JSON, must be a line of training metrics. Is it a file of metrics?",
          run.path);
    run.damaged_lines += is_damaged;
    const Json json = Json::parse(text, nullptr, false);
    is_damaged = !json.is_object();
    if (is_damaged) continue;
    add_line({json, fmt::format("{} line {}", run.path, reader.line_number())}, run, last_update);
    ++lines;
  }
  check(lines > 0, "{}: no line of training metrics, must be written by bough-train. Has the run begun?", run.path);
  for (ValidationCurve& curve : run.validation) set_seconds(curve.places, run.curves.places);
  set_seconds(run.layers.places, run.curves.places);
  return run;
}

std::string metrics_file_of(const std::string& given) {
  if (!given.ends_with(".npz")) return given;
  const std::string path = given + ".metrics.jsonl";
  check(file_exists(path), "'{}' is a model, and there is no '{}'. Give the file of its metrics.", given, path);
  return path;
}

std::vector<std::string> run_names(const std::vector<std::string>& paths) {
  std::vector<std::string> whole, stems;
  for (const std::string& path : paths) {
    whole.push_back(called(path));
    stems.push_back(without_endings(whole.back()));
  }
  const bool are_apart = std::set(stems.begin(), stems.end()).size() == stems.size();
  return short_names(are_apart ? stems : whole);
}

}  // namespace bough
