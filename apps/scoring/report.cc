#include "apps/scoring/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/scoring/text_table.h"

namespace bough {
namespace {

std::string rounded(double value, int width) { return fmt::format("{:.{}f}", value, width); }

/// A number as Python writes it: the shortest that reads back the same, with a point.
std::string python_number(double value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_not_of("-0123456789") == text.npos ? text + ".0" : text;
}

std::string optional_number(const std::optional<double>& value) { return value ? python_number(*value) : "null"; }

std::string quoted(const std::string& text, bool is_ascii) {
  using nlohmann::json;
  return json(text).dump(-1, ' ', is_ascii, json::error_handler_t::replace);
}

/// "μ = 56.7 ± 33.8"
std::string confidence_text(const Confidence& confidence, int width) {
  return fmt::format("μ = {} ± {}", rounded(confidence.mean, width), rounded(confidence.half_width, width));
}

std::string score_text(const MetricResult& result, int width) {
  std::string text = rounded(result.score, width);
  if (result.confidence) text += fmt::format(" ({})", confidence_text(*result.confidence, width));
  return text;
}

std::string json_object(const MetricResult& result, int width) {
  const auto number = [&](double value) { return python_number(std::stod(rounded(value, width))); };
  std::string text = "{\n";
  const auto add = [&](const std::string& key, const std::string& value) {
    text += fmt::format(" \"{}\": {},\n", key, value);
  };
  add("name", quoted(score_name(result.metric), false));
  add("score", number(result.score));
  add("signature", quoted(to_string(result.signature), false));
  if (result.confidence) {
    add("confidence_mean", number(result.confidence->mean));
    add("confidence_var", number(result.confidence->half_width));
    add("confidence", quoted(confidence_text(*result.confidence, width), false));
  }
  if (!result.details.empty()) add("verbose_score", quoted(result.details, false));
  for (const SignatureItem& item : result.signature) add(item.name, quoted(item.value, false));
  text.resize(text.size() - 2);  // the last ",\n"
  return text + "\n}";
}

/// Pads lines on the left so that their first " =" are in one column.
void align_at_equals(std::vector<std::string>& lines) {
  const auto place = [](const std::string& line) { return display_width(line.substr(0, line.find(" ="))); };
  size_t widest = 0;
  for (const std::string& line : lines) widest = std::max(widest, place(line));
  for (std::string& line : lines) line.insert(0, widest - place(line), ' ');
}

std::string format_one_system(const SystemResult& system, const ScoreOptions& options) {
  const bool is_json = options.format == ScoreFormat::json;
  std::vector<std::string> parts;
  for (const MetricResult& result : system.metrics) {
    if (options.is_score_only) {
      parts.push_back(score_text(result, options.width));
    } else if (is_json) {
      parts.push_back(json_object(result, options.width));
    } else {
      parts.push_back(format_line(result, options));
    }
  }
  if (is_json && parts.size() > 1) return fmt::format("[\n{}\n]\n", fmt::join(parts, ",\n"));
  if (!is_json && !options.is_score_only) align_at_equals(parts);
  std::string text = fmt::format("{}\n", fmt::join(parts, "\n"));
  if (options.with_details) text += "No subset information found. Consider using --origlang argument.\n";
  return text;
}

std::string shown_name(const ScoreReport& report, size_t system, const ScoreOptions& options) {
  const bool is_baseline = system == 0 && report.paired != PairedTest::none && !options.reads_stdin;
  return (is_baseline ? "Baseline: " : "") + report.systems[system].name;
}

std::string format_systems_json(const ScoreReport& report, const ScoreOptions& options) {
  const std::string indent(4, ' ');
  std::vector<std::string> objects;
  for (size_t s = 0; s < report.systems.size(); ++s) {
    std::string text =
        fmt::format("{0}{{\n{0}{0}\"system\": {1}", indent, quoted(shown_name(report, s, options), true));
    for (const MetricResult& result : report.systems[s].metrics) {
      text += fmt::format(",\n{0}{0}\"{1}\": ", indent, score_name(result.metric));
      if (report.paired == PairedTest::none) {
        text += fmt::format("\"{}\"", rounded(result.score, options.width));
        continue;
      }
      std::optional<double> mean, half_width;
      if (result.confidence) {
        mean = result.confidence->mean;
        half_width = result.confidence->half_width;
      }
      text += fmt::format("{{\n{0}\"score\": {1},\n{0}\"p_value\": {2},\n{0}\"mean\": {3},\n{0}\"ci\": {4}\n{5}}}",
                          indent + indent + indent, python_number(result.score), optional_number(result.p_value),
                          optional_number(mean), optional_number(half_width), indent + indent);
    }
    objects.push_back(text + "\n" + indent + "}");
  }
  if (objects.empty()) return "[]\n";
  return fmt::format("[\n{}\n]\n", fmt::join(objects, ",\n"));
}

std::string cell_text(const MetricResult& result, bool is_latex, bool with_color, int width) {
  std::string text = rounded(result.score, width);
  if (result.confidence)
    text += fmt::format(" ({} ± {})", rounded(result.confidence->mean, width),
                        rounded(result.confidence->half_width, width));
  if (!result.p_value) return text;
  const bool is_significant = *result.p_value < significance_threshold;
  std::string p = fmt::format("(p = {:.4f}){}", *result.p_value, is_significant ? "*" : "");
  if (with_color && !is_significant) p = "\x1b[31m" + p + "\x1b[0m";
  return text + (is_latex ? " " : "\n") + p;
}

std::string heading(const std::string& title) {
  const std::string line(title.size(), '-');
  return fmt::format("\n{}\n{}\n{}\n", line, title, line);
}

std::string explain_test(const ScoreReport& report, const std::string& baseline) {
  const bool is_bootstrap = report.paired == PairedTest::bootstrap;
  std::string text =
      heading(is_bootstrap ? fmt::format("Paired bootstrap resampling test with {} resampling trials", report.samples)
                           : fmt::format("Paired approximate randomization test with {} trials", report.samples));
  text += fmt::format(" - Each system is pairwise compared to {}.\n", baseline);
  text += is_bootstrap ? "   Actual system score / bootstrap estimated true mean / 95% CI are "
                         "provided for each metric.\n"
                       : "   Actual system score is provided for each metric.\n";
  return text + R"(
 - Null hypothesis: the system and the baseline translations are essentially
   generated by the same underlying process. For a given system and the baseline,
   the p-value is roughly the probability of the absolute score difference (delta)
   or higher occurring due to chance, under the assumption that the null hypothesis is correct.

 - Assuming a significance threshold of 0.05, the null hypothesis can be rejected
   for p-values < 0.05 (marked with "*"). This means that the delta is unlikely to be attributed
   to chance, hence the system is significantly "different" than the baseline.
   Otherwise, the p-values are highlighted in red.

 - NOTE: Significance does not tell whether a system is "better" than the baseline but rather
   emphasizes the "difference" of the systems in terms of the replicability of the delta.
)";
}

std::string list_signatures(const ScoreReport& report, const ScoreOptions& options) {
  std::string text = heading("Metric signatures");
  for (const MetricResult& result : report.systems[0].metrics)
    text += fmt::format(" - {:<10} {}\n", score_name(result.metric), to_string(result.signature, options.is_short));
  return text;
}

std::string format_systems_text(const ScoreReport& report, const ScoreOptions& options, bool with_color) {
  if (report.systems.empty()) return "";
  const bool is_latex = options.format == ScoreFormat::latex;
  TextTable table{{"System"}, {}};
  for (const MetricResult& result : report.systems[0].metrics)
    table.header.push_back(score_name(result.metric) + (result.confidence ? " (μ ± 95% CI)" : ""));
  for (size_t s = 0; s < report.systems.size(); ++s) {
    table.rows.push_back({shown_name(report, s, options)});
    for (const MetricResult& result : report.systems[s].metrics)
      table.rows.back().push_back(cell_text(result, is_latex, with_color && !is_latex, options.width));
  }
  std::string text = is_latex ? to_latex(table) : draw_box(table);
  if (report.paired != PairedTest::none) text += explain_test(report, shown_name(report, 0, options));
  return text + list_signatures(report, options);
}

/// "▶ 64.1 ± 1.8  p = 0.2507  no clear difference"
std::string people_cell(const ScoreReport& report, size_t system, size_t m, bool is_best, int width) {
  const MetricResult& result = report.systems[system].metrics[m];
  std::string cell = fmt::format("{} {}", is_best ? "▶" : " ", rounded(result.score, width));
  if (result.confidence) cell += fmt::format(" ± {}", rounded(result.confidence->half_width, width));
  if (result.p_value) cell += fmt::format("  p = {:.4f}", *result.p_value);
  const std::string word = verdict(report, system, m);
  return word.empty() ? cell : cell + "  " + word;
}

/// Adds a column, in which the cells of `is_bold` stand out, to the lines.
void append_column(std::vector<std::string>& lines, const std::vector<std::string>& cells,
                   const std::vector<bool>& is_bold) {
  constexpr size_t gap = 3;
  size_t width = 0;
  for (const std::string& cell : cells) width = std::max(width, display_width(cell));
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string padding(width + gap - display_width(cells[i]), ' ');
    lines[i] += (is_bold[i] ? "\x1b[1m" + cells[i] + "\x1b[0m" : cells[i]) + padding;
  }
}

/// bough's own table: one line a system, the best scores marked, a verdict against the first.
std::string format_for_people(const ScoreReport& report, const ScoreOptions& options, bool color) {
  if (report.systems.empty()) return "";
  std::vector<std::string> lines(report.systems.size() + 1), names = {"system"};
  for (const SystemResult& system : report.systems) names.push_back(system.name);
  append_column(lines, names, std::vector<bool>(lines.size(), false));
  for (size_t m = 0; m < report.systems[0].metrics.size(); ++m) {
    const Metric& metric = report.systems[0].metrics[m].metric;
    std::vector<bool> is_best = find_best(report, m);
    std::vector<std::string> cells = {score_name(metric) +
                                      (kind_of(metric).is_lower_better ? " (lower is better)" : "")};
    for (size_t s = 0; s < report.systems.size(); ++s)
      cells.push_back(people_cell(report, s, m, is_best[s], options.width));
    is_best.insert(is_best.begin(), false);
    append_column(lines, cells, color ? is_best : std::vector<bool>(lines.size(), false));
  }
  std::string text;
  for (const std::string& line : lines) text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  text += "▶ best score";
  if (report.paired != PairedTest::none)
    text += fmt::format("; better, worse: differs from {} with p < {} ({} samples)", report.systems[0].name,
                        significance_threshold, report.samples);
  return text + "\n" + list_signatures(report, options);
}

}  // namespace

std::string format_line(const MetricResult& result, const ScoreOptions& options) {
  std::string text = fmt::format("{}|{} = {}", score_name(result.metric), to_string(result.signature, options.is_short),
                                 score_text(result, options.width));
  return result.details.empty() ? text : text + " " + result.details;
}

std::vector<bool> find_best(const ScoreReport& report, size_t m) {
  const auto better = [&](double a, double b) {
    return kind_of(report.systems[0].metrics[m].metric).is_lower_better ? a < b : a > b;
  };
  double best = report.systems[0].metrics[m].score;
  for (const SystemResult& system : report.systems)
    if (better(system.metrics[m].score, best)) best = system.metrics[m].score;
  std::vector<bool> is_best;
  for (const SystemResult& system : report.systems) is_best.push_back(system.metrics[m].score == best);
  return is_best;
}

std::string verdict(const ScoreReport& report, size_t system, size_t m) {
  const MetricResult& result = report.systems[system].metrics[m];
  if (!result.p_value) return "";
  const double difference = result.score - report.systems[0].metrics[m].score;
  if (*result.p_value >= significance_threshold || difference == 0) return "no clear difference";
  return (difference > 0) != kind_of(result.metric).is_lower_better ? "better" : "worse";
}

std::string format_report(const ScoreReport& report, const ScoreOptions& options, bool is_terminal) {
  const bool with_color = is_terminal && !options.is_plain;
  if (options.format == ScoreFormat::table) return format_for_people(report, options, with_color);
  if (report.systems.size() == 1) return format_one_system(report.systems[0], options);
  if (options.format == ScoreFormat::json) return format_systems_json(report, options);
  return format_systems_text(report, options, with_color);
}

}  // namespace bough
