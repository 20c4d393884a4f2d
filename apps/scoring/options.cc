#include "apps/scoring/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <functional>

namespace bough {
namespace {

constexpr int bad_command_line = 2;

enum class Takes { nothing, one, one_or_more, any_number };

/// One option: how it is written, what it takes, what that does.
struct Row {
  std::vector<std::string> names;  // the long one first
  Takes takes;
  std::vector<std::string> choices;
  std::string help;
  std::function<void(ScoreOptions&, std::span<const std::string>)> set;

  std::string title() const { return fmt::format("{}", fmt::join(names, "/")); }
  /// Stands for what it takes in --help.
  const char* value() const {
    if (takes == Takes::one) return "VALUE";
    if (takes == Takes::one_or_more) return "VALUE...";
    return takes == Takes::any_number ? "[FILE...]" : "";
  }
};

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) {
  throw ScoreError(bad_command_line,
                   fmt::format(text, std::forward<Args>(args)...) + ". bough-score --help lists the options.");
}

int to_int(const std::string& text, const std::string& title) {
  int value = 0;
  const char* const begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const char* const end = text.data() + text.size();
  const auto [last, failure] = std::from_chars(begin, end, value);
  if (failure != std::errc() || last != end || begin == end) refuse("{}: '{}', must be a whole number", title, text);
  return value;
}

double to_double(const std::string& text, const std::string& title) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0') refuse("{}: '{}', must be a number", title, text);
  return value;
}

Row flag(std::vector<std::string> names, bool ScoreOptions::*member, std::string help, bool value = true) {
  return {std::move(names), Takes::nothing, {}, std::move(help), [=](ScoreOptions& o, auto) { o.*member = value; }};
}

template <class Part>
Row flag(std::vector<std::string> names, Part ScoreOptions::*part, bool Part::*member, std::string help) {
  return {
      std::move(names), Takes::nothing, {}, std::move(help), [=](ScoreOptions& o, auto) { o.*part.*member = true; }};
}

Row number(std::vector<std::string> names, std::function<int&(ScoreOptions&)> target, std::string help) {
  const std::string title = fmt::format("{}", fmt::join(names, "/"));
  return {std::move(names), Takes::one, {}, std::move(help), [=](ScoreOptions& o, auto values) {
            target(o) = to_int(values[0], title);
          }};
}

Row word(std::vector<std::string> names, std::string ScoreOptions::*member, std::string help,
         std::vector<std::string> choices = {}) {
  return {std::move(names), Takes::one, std::move(choices), std::move(help),
          [=](ScoreOptions& o, auto values) { o.*member = values[0]; }};
}

/// An option of sacreBLEU for what bough does not have.
Row absent(std::vector<std::string> names, Takes takes, std::string reason) {
  const std::string name = names[0];
  return {std::move(names), takes, {}, "not available: " + reason, [=](ScoreOptions& o, auto) {
            if (o.refused.empty()) o.refused = fmt::format("{}: {}", name, reason);
          }};
}

Row paired(std::vector<std::string> names, PairedTest test, std::string help) {
  const std::string title = fmt::format("{}", fmt::join(names, "/"));
  return {std::move(names), Takes::nothing, {}, std::move(help), [=](ScoreOptions& o, auto) {
            if (o.paired != PairedTest::none && o.paired != test)
              refuse("{}: both kinds of paired test asked for, must be one", title);
            o.paired = test;
          }};
}

constexpr std::pair<const char*, Smoothing> smoothings[] = {
    {"none", Smoothing::none}, {"floor", Smoothing::floor}, {"add-k", Smoothing::add_k}, {"exp", Smoothing::exp}};
constexpr std::pair<const char*, ScoreFormat> formats[] = {{"json", ScoreFormat::json},
                                                           {"text", ScoreFormat::text},
                                                           {"latex", ScoreFormat::latex},
                                                           {"table", ScoreFormat::table}};

template <class Pairs>
auto named(const Pairs& pairs, std::string_view name) {
  const auto found = std::ranges::find_if(pairs, [&](const auto& p) { return p.first == name; });
  return found->second;
}

template <class Pairs>
std::vector<std::string> names_of(const Pairs& pairs) {
  std::vector<std::string> names;
  for (const auto& [name, value] : pairs) names.push_back(name);
  return names;
}

std::vector<std::string> names_of_metrics() {
  std::vector<std::string> names;
  for (const MetricKind& kind : metric_kinds()) names.emplace_back(kind.name);
  return names;
}

std::vector<Row> input_rows() {
  const std::string no_test_sets = "bough downloads no test sets; give the reference files";
  return {
      {{"--help", "-h"}, Takes::nothing, {}, "show this and stop", [](ScoreOptions& o, auto) { o.wants_help = true; }},
      {{"--version", "-V"},
       Takes::nothing,
       {},
       "show the version and stop",
       [](ScoreOptions& o, auto) { o.wants_version = true; }},
      {{"--input", "-i"},
       Takes::any_number,
       {},
       "one file per system (default: standard input)",
       [](ScoreOptions& o, auto values) { o.inputs.emplace(values.begin(), values.end()); }},
      number(
          {"--num-refs", "-nr"}, [](auto& o) -> int& { return o.reference_fields; },
          "the reference file holds this many references, separated by tabs"),
      word({"--encoding", "-e"}, &ScoreOptions::encoding, "encoding of the files (utf-8)"),
      word({"--language-pair", "-l"}, &ScoreOptions::language_pair, "e.g. en-zh: the target chooses the tokenizer"),
      {{"--metrics", "-m"},
       Takes::one_or_more,
       names_of_metrics(),
       "metrics (bleu)",
       [](ScoreOptions& o, auto values) { o.metric_names.assign(values.begin(), values.end()); }},
      flag({"--sentence-level", "-sl"}, &ScoreOptions::is_sentence_level, "score each line"),
      absent({"--citation", "--cite"}, Takes::nothing, no_test_sets),
      absent({"--list"}, Takes::nothing, no_test_sets),
      absent({"--test-set", "-t"}, Takes::one, no_test_sets),
      absent({"--origlang", "-ol"}, Takes::one, no_test_sets),
      absent({"--subset"}, Takes::one, no_test_sets),
      absent({"--download"}, Takes::one, no_test_sets),
      absent({"--echo"}, Takes::one_or_more, no_test_sets),
  };
}

std::vector<Row> metric_rows() {
  return {
      {{"--smooth-method", "-s"},
       Takes::one,
       names_of(smoothings),
       "BLEU smoothing (exp)",
       [](ScoreOptions& o, auto values) { o.bleu.smoothing = named(smoothings, values[0]); }},
      {{"--smooth-value", "-sv"},
       Takes::one,
       {},
       "value for floor (0.1) and add-k (1)",
       [](ScoreOptions& o, auto values) { o.bleu.smooth_value = to_double(values[0], "--smooth-value/-sv"); }},
      word({"--tokenize", "-tok"}, &ScoreOptions::tokenizer, "BLEU tokenizer (13a)",
           {"none", "zh", "13a", "intl", "char", "ja-mecab", "ko-mecab", "spm", "flores101", "flores200", "spBLEU-1K"}),
      flag({"--lowercase", "-lc"}, &ScoreOptions::bleu, &BleuOptions::lowercase, "BLEU of lower-cased text"),
      flag({"--force"}, &ScoreOptions::is_forced, "no warning about tokenized input"),
      number(
          {"--chrf-char-order", "-cc"}, [](auto& o) -> int& { return o.chrf.char_order; },
          "character n-gram order (6)"),
      number(
          {"--chrf-word-order", "-cw"}, [](auto& o) -> int& { return o.chrf.word_order; },
          "word n-gram order (0); 2 is chrF++"),
      number(
          {"--chrf-beta"}, [](auto& o) -> int& { return o.chrf.beta; }, "weight of recall over precision (2)"),
      flag({"--chrf-whitespace"}, &ScoreOptions::chrf, &ChrfOptions::whitespace, "white space counts as characters"),
      flag({"--chrf-lowercase"}, &ScoreOptions::chrf, &ChrfOptions::lowercase, "chrF of lower-cased text"),
      flag({"--chrf-eps-smoothing"}, &ScoreOptions::chrf, &ChrfOptions::eps_smoothing,
           "smooth as chrF++.py, NLTK and Moses do"),
      flag({"--ter-case-sensitive"}, &ScoreOptions::ter, &TerOptions::case_sensitive, "TER of cased text"),
      flag({"--ter-asian-support"}, &ScoreOptions::ter, &TerOptions::asian_support, "treat Asian characters as words"),
      flag({"--ter-no-punct"}, &ScoreOptions::ter, &TerOptions::no_punctuation, "remove punctuation"),
      flag({"--ter-normalized"}, &ScoreOptions::ter, &TerOptions::normalized, "normalize and tokenize"),
  };
}

std::vector<Row> report_rows() {
  return {
      flag({"--confidence", "-ci"}, &ScoreOptions::with_confidence, "bootstrap confidence of one system"),
      number(
          {"--confidence-n", "-cin"}, [](auto& o) -> int& { return o.confidence_samples; }, "samples for that (1000)"),
      paired({"--paired-ar", "-par"}, PairedTest::randomisation, "compare systems by approximate randomisation"),
      paired({"--paired-bs", "-pbs"}, PairedTest::bootstrap, "compare systems by paired bootstrap"),
      number(
          {"--paired-ar-n", "-parn"}, [](auto& o) -> int& { return o.randomisation_trials; }, "trials (10000)"),
      number(
          {"--paired-bs-n", "-pbsn"}, [](auto& o) -> int& { return o.bootstrap_samples; }, "samples (1000)"),
      number(
          {"--paired-jobs", "-j"}, [](auto& o) -> int& { return o.threads; }, "threads (0: all cores)"),
      flag({"--quiet", "-q"}, &ScoreOptions::is_quiet, "no messages"),
      flag({"--short", "-sh"}, &ScoreOptions::is_short, "short signatures"),
      flag({"--score-only", "-b"}, &ScoreOptions::is_score_only, "only the score"),
      number(
          {"--width", "-w"}, [](auto& o) -> int& { return o.width; }, "decimals (1)"),
      flag({"--detail", "-d"}, &ScoreOptions::with_details, "text format with details"),
      flag({"--no-color", "-nc"}, &ScoreOptions::with_color, "no colors on terminals", false),
      {{"--format", "-f"},
       Takes::one,
       names_of(formats),
       "json, text, latex (several systems) or bough's own table for people (json)",
       [](ScoreOptions& o, auto values) { o.format = named(formats, values[0]); }},
      word({"--html"}, &ScoreOptions::html, "also write a report for people to this file"),
  };
}

const std::vector<Row>& rows() {
  static const std::vector<Row> all = [] {
    std::vector<Row> joined = input_rows();
    for (const auto& more : {metric_rows(), report_rows()}) joined.insert(joined.end(), more.begin(), more.end());
    return joined;
  }();
  return all;
}

/// An argument that names an option, with the value written into it.
struct Match {
  const Row* row;
  std::optional<std::string> value;
};

bool looks_like_option(const std::string& argument) {
  const bool is_number = argument.size() > 1 && argument[1] >= '0' && argument[1] <= '9';
  return argument.size() > 1 && argument[0] == '-' && !is_number && argument.find(' ') == argument.npos;
}

const Row* find_exact(std::string_view name) {
  for (const Row& row : rows())
    if (std::ranges::find(row.names, name) != row.names.end()) return &row;
  return nullptr;
}

/// All options that the argument may abbreviate, or ("-w2") a one-letter option with its value.
std::vector<std::pair<std::string, Match>> find_prefixed(const std::string& argument) {
  std::vector<std::pair<std::string, Match>> found;
  const bool is_long = argument.starts_with("--");
  const size_t equals = argument.find('=');
  const std::string prefix = is_long ? argument.substr(0, equals) : argument;
  std::optional<std::string> value;
  if (is_long && equals != argument.npos) value = argument.substr(equals + 1);
  for (const Row& row : rows())
    for (const std::string& name : row.names) {
      if (!is_long && name == argument.substr(0, 2)) {
        found.push_back({name, {&row, argument.substr(2)}});
      } else if (name.starts_with(prefix)) {
        found.push_back({name, {&row, value}});
      }
    }
  return found;
}

Match match_option(const std::string& argument) {
  if (const Row* row = find_exact(argument)) return {row, std::nullopt};
  if (const size_t equals = argument.find('='); equals != argument.npos)
    if (const Row* row = find_exact(argument.substr(0, equals))) return {row, argument.substr(equals + 1)};
  const auto found = find_prefixed(argument);
  if (found.empty()) refuse("'{}': unknown option", argument);
  if (found.size() > 1) {
    std::vector<std::string> names;
    for (const auto& [name, match] : found) names.push_back(name);
    refuse("'{}': could be {}, must be one of them", argument, fmt::join(names, " or "));
  }
  return found[0].second;
}

class Parser {
 public:
  explicit Parser(std::span<const std::string> arguments) : arguments_(arguments) {
    const auto end = std::ranges::find(arguments_, "--");
    options_end_ = size_t(end - arguments_.begin());
  }

  ScoreOptions parse() {
    while (at_ < arguments_.size()) {
      if (at_ < options_end_ && looks_like_option(arguments_[at_])) {
        const std::string& argument = arguments_[at_++];
        read_option(match_option(argument));
        if (options_.wants_help || options_.wants_version) break;
      } else {
        read_references();
      }
    }
    return options_;
  }

 private:
  std::vector<std::string> take_values(size_t limit) {
    std::vector<std::string> values;
    for (; at_ < options_end_ && values.size() < limit; ++at_) {
      if (looks_like_option(arguments_[at_])) break;
      values.push_back(arguments_[at_]);
    }
    return values;
  }

  void read_option(const Match& match) {
    const Row& row = *match.row;
    if (row.takes == Takes::nothing) {
      row.set(options_, {});
      if (!match.value) return;
      // "-bq" is -b -q.
      const Row* next = find_exact("-" + match.value->substr(0, 1));
      if (row.names.back().size() != 2 || next == nullptr)
        refuse("{}: '{}' given, must stand alone", row.title(), *match.value);
      const std::string rest = match.value->substr(1);
      return read_option({next, rest.empty() ? std::nullopt : std::optional(rest)});
    }
    const std::vector<std::string> values =
        match.value ? std::vector{*match.value} : take_values(row.takes == Takes::one ? 1 : SIZE_MAX);
    if (values.empty() && row.takes != Takes::any_number) refuse("{}: no value, must have one", row.title());
    for (const std::string& value : values)
      if (!row.choices.empty() && std::ranges::find(row.choices, value) == row.choices.end())
        refuse("{}: '{}' is not one of: {}", row.title(), value, fmt::join(row.choices, ", "));
    row.set(options_, values);
  }

  void read_references() {
    std::vector<std::string> values;
    for (; at_ < arguments_.size(); ++at_) {
      if (at_ == options_end_) continue;  // "--" itself
      if (at_ < options_end_ && looks_like_option(arguments_[at_])) break;
      values.push_back(arguments_[at_]);
    }
    if (values.empty()) return;
    if (has_references_) refuse("'{}': references must stand together, before -i", values[0]);
    has_references_ = true;
    options_.references = values;
  }

  std::span<const std::string> arguments_;
  size_t at_ = 0, options_end_ = 0;
  bool has_references_ = false;
  ScoreOptions options_;
};

}  // namespace

ScoreOptions parse_score_options(std::span<const std::string> arguments) { return Parser(arguments).parse(); }

void apply_environment(ScoreOptions& options) {
  const auto read = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  const auto lower = [](std::string text) {
    for (char& c : text)
      if (c >= 'A' && c <= 'Z') c = char(c | 0x20);
    return text;
  };
  const std::string format = lower(read("SACREBLEU_FORMAT")), seed = read("SACREBLEU_SEED");
  if (const auto known = names_of(formats); std::ranges::find(known, format) != known.end())
    options.format = named(formats, format);
  if (!read("NO_COLOR").empty()) options.with_color = false;
  if (lower(seed) == "none") {
    options.seed.reset();
  } else if (!seed.empty()) {
    uint64_t value = 0;
    const auto [last, failure] = std::from_chars(seed.data(), seed.data() + seed.size(), value);
    if (failure != std::errc() || last != seed.data() + seed.size())
      throw ScoreError(1, fmt::format("SACREBLEU_SEED: '{}', must be a whole number of at most 64 "
                                      "bits or 'none'. Set it so, or unset it.",
                                      seed));
    options.seed = value;
  }
}

std::vector<Metric> ScoreOptions::metrics() const {
  const Metric configured[] = {bleu, chrf, ter};
  std::vector<Metric> all;
  for (const std::string& name : metric_names) {
    const auto is_asked = [&](const Metric& metric) { return kind_of(metric).name == name; };
    if (std::ranges::none_of(all, is_asked)) all.push_back(*std::ranges::find_if(configured, is_asked));
  }
  if (paired == PairedTest::none) std::ranges::sort(all, {}, &Metric::index);
  return all;
}

std::string score_help() {
  std::string text =
      "Usage: bough-score REFERENCE... -i SYSTEM... [options]\n"
      "Scores translations against references: BLEU, chrF, TER, as sacreBLEU 2.6.0.\n"
      "Files have one segment a line; .gz is unpacked. Without -i, systems come from standard\n"
      "input, separated by tabs.\n\n";
  for (const Row& row : rows()) {
    const std::string value = *row.value() ? fmt::format(" {}", row.value()) : "";
    text += fmt::format("  {:<32}{}\n", fmt::format("{}{}", fmt::join(row.names, ", "), value), row.help);
    if (!row.choices.empty()) text += fmt::format("  {:<32}one of: {}\n", "", fmt::join(row.choices, ", "));
  }
  return text;
}

std::vector<OptionEntry> score_option_entries() {
  std::vector<OptionEntry> entries;
  for (const Row& row : rows()) {
    const std::string choices = row.choices.empty() ? "" : fmt::format(" (one of: {})", fmt::join(row.choices, ", "));
    entries.push_back({.group = "Scores against references",
                       .spellings = row.names,
                       .value = row.value(),
                       .meaning = row.help + choices,
                       .choices = row.choices,
                       .is_path = row.takes == Takes::any_number || row.names[0] == "--html"});
  }
  return entries;
}

}  // namespace bough
