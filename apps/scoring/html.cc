#include "apps/scoring/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/scoring/word_diff.h"

namespace bough {
namespace {

constexpr size_t shown_segments = 25;  // at each end of the order

constexpr std::string_view style = R"(<style>
:root { --ink: #1d2430; --soft: #667085; --line: #dfe3ea; --paper: #fff; --panel: #f6f7f9;
  --accent: #2f6fde; --good: #14804a; --bad: #c0362c; --wrong: #fde3e0; --missing: #fff0c2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b5; --line: #343b48;
  --paper: #15181e; --panel: #1d2129; --accent: #7aa7ff; --good: #57c98a; --bad: #ff8d82;
  --wrong: #5c2420; --missing: #574616; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .85rem; }
td, th { padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.best .number, tr.best td:first-child { font-weight: 700; }
code { font-size: .82rem; color: var(--soft); overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: 22px; }
.segment { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: .6rem .8rem; margin: .6rem 0; }
.segment p { margin: .3rem 0; padding-left: 7.5rem; position: relative; overflow-wrap: anywhere; }
.segment .who { position: absolute; left: 0; width: 7rem; color: var(--soft); font-size: .85rem;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.wrong { background: var(--wrong); border-radius: 3px; padding: 0 .15em; }
.missing { background: var(--missing); border-radius: 3px; padding: 0 .15em; }
</style>
)";

std::string escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '"') {
      escaped += "&quot;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

/// The part of the axis that a chart shows: all intervals, and some room around them.
struct Axis {
  double low = 0, high = 100;
  double place(double value) const { return 100 * (value - low) / (high - low); }
};

double half_width(const MetricResult& result) { return result.confidence ? result.confidence->half_width : 0; }

Axis axis_of(const ScoreReport& report, size_t m) {
  Axis axis{1e300, -1e300};
  for (const SystemResult& system : report.systems) {
    const MetricResult& result = system.metrics[m];
    axis.low = std::min(axis.low, result.score - half_width(result));
    axis.high = std::max(axis.high, result.score + half_width(result));
  }
  const double room = std::max(0.5, 0.08 * (axis.high - axis.low));
  axis.low = std::max(0.0, std::floor(axis.low - room));
  axis.high = std::ceil(axis.high + room);
  return axis;
}

/// A score as a dot on its interval; the dashed line is the first system's score.
std::string draw_interval(const MetricResult& result, double baseline, const Axis& axis) {
  const double at = axis.place(result.score);
  const double from = axis.place(result.score - half_width(result));
  const double to = axis.place(result.score + half_width(result));
  return fmt::format(
      "<svg role='img' aria-label='{:.2f} plus or minus {:.2f}'>"
      "<line x1='0' x2='100%' y1='11' y2='11' stroke='var(--line)'/>"
      "<line x1='{:.2f}%' x2='{:.2f}%' y1='0' y2='22' stroke='var(--soft)' stroke-dasharray='3 3'/>"
      "<rect x='{:.2f}%' y='8' width='{:.2f}%' height='6' rx='3' fill='var(--accent)' "
      "opacity='.35'/><circle cx='{:.2f}%' cy='11' r='5' fill='var(--accent)'/></svg>",
      result.score, half_width(result), axis.place(baseline), axis.place(baseline), from, std::max(0.0, to - from), at);
}

std::string verdict_cell(const ScoreReport& report, size_t s, size_t m) {
  const std::string word = verdict(report, s, m);
  if (word.empty()) return "<span class='soft'>baseline</span>";
  const char* color = word == "better" ? "good" : word == "worse" ? "bad" : "soft";
  return fmt::format("<span class='{}'>{}</span>", color, word);
}

std::string metric_section(const ScoreReport& report, size_t m, int width) {
  const Axis axis = axis_of(report, m);
  const MetricResult& first = report.systems[0].metrics[m];
  const std::vector<bool> best = find_best(report, m);
  const bool is_paired = report.paired != PairedTest::none;
  std::string text = fmt::format(
      "<h2>{}{}</h2>\n<table><tr><th>System</th><th>{:g} <span style='float:right'>{:g}</span></th>"
      "<th class='number'>Score</th>{}</tr>\n",
      score_name(first.metric),
      kind_of(first.metric).is_lower_better ? " <span class='soft'>(lower is better)</span>" : "", axis.low, axis.high,
      is_paired ? "<th class='number'>p</th><th></th>" : "");
  for (size_t s = 0; s < report.systems.size(); ++s) {
    const MetricResult& result = report.systems[s].metrics[m];
    const bool is_marked = best[s] && report.systems.size() > 1;
    text +=
        fmt::format("<tr{}><td>{}{}</td><td style='width:45%'>{}</td>", is_marked ? " class='best'" : "",
                    escape(report.systems[s].name), is_marked ? " ★" : "", draw_interval(result, first.score, axis));
    text += fmt::format("<td class='number'>{:.{}f} ± {:.{}f}</td>", result.score, width, half_width(result), width);
    if (is_paired)
      text += fmt::format("<td class='number'>{}</td><td>{}</td>",
                          result.p_value ? fmt::format("{:.4f}", *result.p_value) : "", verdict_cell(report, s, m));
    text += "</tr>\n";
  }
  return text + fmt::format("</table>\n<code>{}</code>\n", escape(to_string(first.signature)));
}

/// One side of a comparison, with the words that the other side lacks marked.
std::string mark_words(const std::vector<std::string_view>& words, const std::vector<bool>& shared, const char* mark) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0 && words[i - 1].data() + words[i - 1].size() != words[i].data()) text += ' ';
    text += shared[i] ? escape(words[i]) : fmt::format("<span class='{}'>{}</span>", mark, escape(words[i]));
  }
  return text;
}

/// Sentence scores of one metric, [system][line].
class Segments {
 public:
  Segments(const ScoredCorpus& corpus, size_t m) : corpus_(corpus), metric_(corpus.metrics[m]) {
    if (auto* bleu = std::get_if<BleuOptions>(&metric_)) bleu->effective_order = true;
    for (const auto& system : corpus.segments) {
      scores_.emplace_back();
      for (size_t i = 0; i < corpus.lines; ++i) scores_.back().push_back(score_from(system[m].row(i), metric_));
    }
  }

  std::string metric_name() const { return score_name(metric_); }

  /// By how much the system is better than the first one on a line; alone: its score.
  double merit(size_t system, size_t line) const {
    const double sign = kind_of(metric_).is_lower_better ? -1 : 1;
    return sign * (scores_[system][line] - (scores_.size() > 1 ? scores_[0][line] : 0));
  }

  /// Lines from the least merit to the most.
  std::vector<size_t> order(size_t system) const {
    std::vector<size_t> lines(corpus_.lines);
    std::iota(lines.begin(), lines.end(), size_t{0});
    std::ranges::stable_sort(lines, [&](size_t a, size_t b) { return merit(system, a) < merit(system, b); });
    return lines;
  }

  std::string card(size_t system, size_t line) const {
    const size_t systems = scores_.size();
    std::string text = fmt::format("<div class='segment'><span class='soft'>line {}</span>", line + 1);
    if (systems > 1)
      text += fmt::format(" <b class='{}'>{:+.1f}</b>", merit(system, line) > 0 ? "good" : "bad",
                          scores_[system][line] - scores_[0][line]);
    const std::string& reference = corpus_.references[line * corpus_.reference_count];
    const std::string& hypothesis = corpus_.systems[line * systems + system];
    const WordDiff diff = diff_words(hypothesis, reference);
    text += paragraph(corpus_.reference_count == 1 ? "reference" : "reference 1",
                      mark_words(diff.right, diff.right_shared, "missing"));
    if (systems > 1) {
      const WordDiff other = diff_words(corpus_.systems[line * systems], reference);
      text += paragraph(scored_name(0, line), mark_words(other.left, other.left_shared, "wrong"));
    }
    text += paragraph(scored_name(system, line), mark_words(diff.left, diff.left_shared, "wrong"));
    return text + "</div>\n";
  }

 private:
  std::string scored_name(size_t system, size_t line) const {
    return fmt::format("{:.1f} {}", scores_[system][line], corpus_.names[system]);
  }
  static std::string paragraph(const std::string& who, const std::string& text) {
    return fmt::format("<p><span class='who' title='{0}'>{0}</span>{1}</p>\n", escape(who), text);
  }

  const ScoredCorpus& corpus_;
  Metric metric_;
  std::vector<std::vector<double>> scores_;
};

template <class Lines>
std::string cards(const Segments& segments, size_t system, const std::string& title, const Lines& lines) {
  std::string text = fmt::format("<h3>{}</h3>\n", title);
  for (const size_t line : lines) text += segments.card(system, line);
  return text;
}

std::string compare_segments(const Segments& segments, size_t system, const std::string& name,
                             const std::string& first) {
  std::vector<size_t> losses, gains;
  const std::vector<size_t> order = segments.order(system);
  for (const size_t line : order)
    if (losses.size() < shown_segments && segments.merit(system, line) < 0) losses.push_back(line);
  for (auto line = order.rbegin(); line != order.rend(); ++line)
    if (gains.size() < shown_segments && segments.merit(system, *line) > 0) gains.push_back(*line);
  return fmt::format("<h2>{} against {}, line by line</h2>\n", escape(name), escape(first)) +
         cards(segments, system, fmt::format("Where {} gains most {}", escape(name), segments.metric_name()), gains) +
         cards(segments, system, fmt::format("Where {} loses most {}", escape(name), segments.metric_name()), losses);
}

}  // namespace

std::string format_html(const ScoredCorpus& corpus, const ScoreReport& report, const ScoreOptions& options) {
  std::string text =
      "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>\n"
      "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
      "<title>bough-score</title>\n";
  text += style;
  text += fmt::format("</head><body>\n<h1>Translation scores</h1>\n<p class='soft'>{} lines, {} {}.", corpus.lines,
                      corpus.reference_count, corpus.reference_count == 1 ? "reference" : "references");
  text += " The bar around a score holds 95 % of its bootstrap samples.";
  if (report.paired != PairedTest::none)
    text += fmt::format(
        " p: the probability that a difference from {} as large arises by chance "
        "(paired {}, {} samples); better and worse mean p &lt; {}.",
        escape(corpus.names[0]), report.paired == PairedTest::bootstrap ? "bootstrap" : "randomisation", report.samples,
        significance_threshold);
  text += "</p>\n";
  for (size_t m = 0; m < corpus.metrics.size(); ++m) text += metric_section(report, m, options.width);
  text +=
      "<p class='soft'>Below, words that the reference does not have there are "
      "<span class='wrong'>marked so</span>, words of the reference that the last translation lacks "
      "<span class='missing'>so</span>.</p>\n";
  const Segments segments(corpus, 0);
  if (corpus.names.size() == 1) {
    auto order = segments.order(0);
    order.resize(std::min(order.size(), 2 * shown_segments));
    text += cards(segments, 0, fmt::format("Lines with the worst {}", segments.metric_name()), order);
  }
  for (size_t s = 1; s < corpus.names.size(); ++s)
    text += compare_segments(segments, s, corpus.names[s], corpus.names[0]);
  return text + "</body></html>\n";
}

}  // namespace bough
