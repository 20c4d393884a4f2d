#include "apps/report/page.h"

#include <fmt/format.h>

#include <cmath>
#include <span>

#include "apps/report/page_source.h"
#include "apps/report/thinning.h"
#include "core/base/version.h"

namespace bough {
namespace {

constexpr size_t most_points = 4000;       // log lines of a run
constexpr size_t most_cells = 200'000;     // of one heat map
constexpr size_t most_validations = 4000;  // of one metric

/// JSON that can stand in an element `script`: no text can end it, or begin a comment.
std::string json_text(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      json += fmt::format("\\{}", c);
    else if (c == '<' || (c >= 0 && c < ' '))
      json += fmt::format("\\u{:04x}", int(c));
    else
      json += c;
  }
  return json + '"';
}

std::string json_number(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}g}", value, digits) : "null";
}

/// [value(0), value(1), ...] of the chosen.
template <class Value>
std::string json_list(const std::vector<size_t>& chosen, const Value& value) {
  std::string json = "[";
  for (const size_t i : chosen) {
    if (json.size() > 1) json += ',';
    json += value(i);
  }
  return json + ']';
}

std::string json_names(const std::vector<std::string>& names) {
  std::string json;
  for (const std::string& name : names) json += (json.empty() ? "" : ",") + json_text(name);
  return '[' + json + ']';
}

/// The axes of the chosen places, as members of an object.
std::string json_places(const std::vector<RunPlace>& places, const std::vector<size_t>& chosen) {
  return fmt::format(R"("update":{},"epoch":{},"labels":{},"seconds":{})",
                     json_list(chosen, [&](size_t i) { return std::to_string(places[i].update); }),
                     json_list(chosen, [&](size_t i) { return std::to_string(places[i].epoch); }),
                     json_list(chosen, [&](size_t i) { return json_number(places[i].labels, 15); }),
                     json_list(chosen, [&](size_t i) { return json_number(places[i].seconds, 7); }));
}

std::string json_values(const std::vector<double>& values, const std::vector<size_t>& chosen) {
  return json_list(chosen, [&](size_t i) { return json_number(values[i], 6); });
}

std::string json_curves(const RunCurves& curves) {
  const auto chosen = thinned(curves.columns, curves.places.size(), most_points);
  std::string json = fmt::format("{{\"lines\":{},{}", curves.places.size(), json_places(curves.places, chosen));
  for (size_t c = 0; c < run_columns.size(); ++c)
    json += fmt::format(",\"{}\":{}", run_columns[c].key, json_values(curves.columns[c], chosen));
  return json + '}';
}

std::string json_validation(const std::vector<ValidationCurve>& all) {
  std::string json;
  for (const ValidationCurve& curve : all) {
    const auto chosen = thinned(std::span(&curve.values, 1), curve.values.size(), most_validations);
    json += fmt::format("{}{{\"metric\":{},\"lines\":{},{},\"values\":{}}}", json.empty() ? "" : ",",
                        json_text(curve.metric), curve.values.size(), json_places(curve.places, chosen),
                        json_values(curve.values, chosen));
  }
  return '[' + json + ']';
}

std::string json_table(const std::vector<std::vector<double>>& table, const std::vector<size_t>& chosen) {
  return json_list(chosen, [&](size_t line) {
    std::string row;
    for (const double value : table[line]) row += (row.empty() ? "" : ",") + json_number(value, 4);
    return '[' + row + ']';
  });
}

std::string json_layers(const RunLayers& l) {
  const size_t rows = std::max<size_t>(1, std::max(l.layers.size(), l.sites.size()));
  const auto chosen = every_kth(l.places.size(), std::max<size_t>(2, most_cells / rows));
  return fmt::format(
      R"({{"lines":{},{},"layers":{},"sites":{},"gradient_norms":{},"update_norms":{},"branch_ratios":{},)"
      R"("site_alphas":{},"model_updates":{}}})",
      l.places.size(), json_places(l.places, chosen), json_names(l.layers), json_names(l.sites),
      json_table(l.gradient_norms, chosen), json_table(l.update_norms, chosen), json_table(l.branch_ratios, chosen),
      json_table(l.site_alphas, chosen), json_values(l.model_updates, chosen));
}

std::string json_run(const RunMetrics& run) {
  const RunPlace end = run.curves.places.empty() ? RunPlace{} : run.curves.places.back();
  return fmt::format(
      R"({{"name":{},"path":{},"written":{},"skipped":{},"damaged":{},"speed":{},"divergence":{},"curves":{},)"
      R"("validation":{},"layers":{}}})",
      json_text(run.name), json_text(run.path), run.written, run.skipped_updates, run.damaged_lines,
      json_number(end.timed_labels / end.seconds, 6), json_text(run.divergence), json_curves(run.curves),
      json_validation(run.validation), json_layers(run.layers));
}

/// The source of the page with each %NAME% replaced by its part. Parts are not searched.
std::string filled_in(std::string_view page,
                      std::initializer_list<std::pair<std::string_view, std::string_view>> parts) {
  std::string filled;
  for (const auto& [name, text] : parts) {
    const size_t at = page.find(name);
    filled.append(page.substr(0, at)).append(text);
    page.remove_prefix(at + name.size());
  }
  return filled.append(page);
}

}  // namespace

std::string format_page(const std::vector<RunMetrics>& runs, int64_t now) {
  std::string json;
  for (const RunMetrics& run : runs) json += (json.empty() ? "" : ",\n") + json_run(run);
  json = fmt::format("{{\"version\":{},\"now\":{},\"runs\":[\n{}]}}", json_text(version()), now, json);
  return filled_in(page_source::page,
                   {{"%STYLE%", page_source::style}, {"%DATA%", json}, {"%SCRIPT%", page_source::script}});
}

}  // namespace bough
