#include "apps/scoring/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "apps/scoring/argparse.h"
#include "core/base/settings_reader.h"

namespace bough {
namespace {

constexpr int bad_command_line = 2;

const EnumNames<Smoothing> smoothings = {
    {"none", Smoothing::none}, {"floor", Smoothing::floor}, {"add-k", Smoothing::add_k}, {"exp", Smoothing::exp}};
const EnumNames<ScoreFormat> formats = {{"json", ScoreFormat::json},
                                        {"text", ScoreFormat::text},
                                        {"latex", ScoreFormat::latex},
                                        {"table", ScoreFormat::table}};

/// Words that stand for themselves.
EnumNames<std::string> words(std::initializer_list<std::string_view> all) {
  EnumNames<std::string> names;
  for (const std::string_view word : all) names.emplace_back(word, word);
  return names;
}

EnumNames<std::string> names_of_metrics() {
  EnumNames<std::string> names;
  for (const MetricKind& kind : metric_kinds()) names.emplace_back(kind.name, kind.name);
  return names;
}

/// What sacreBLEU has and bough has not.
void absent_settings(Settings& v) {
  v.group("Test sets");
  const std::string reason = "bough downloads no test sets; give the reference files";
  v.refused<bool>("citation", reason);
  v.refused<bool>("cite", reason);
  v.refused<bool>("list", reason);
  v.refused<std::string>({"test-set", 't'}, reason);
  v.refused<std::string>({"origlang", "ol"}, reason);
  v.refused<std::string>("subset", reason);
  v.refused<std::string>("download", reason);
  v.refused_list("echo", reason);
}

void text_settings(ScoreOptions& o, Settings& v) {
  v.group("Text");
  v(o.references, "references", "files of references, before --input", Path{});
  v.takes_words_only();
  v(o.inputs, {"input", 'i', ""}, "one file per system; without this option standard input, separated by tabs", Path{});
  v(o.reference_fields, {"num-refs", "nr"}, "the reference file holds this many references, separated by tabs");
  v(o.encoding, {"encoding", 'e'}, "encoding of the files");
  v(o.language_pair, {"language-pair", 'l'}, "e.g. en-zh: the target chooses the tokenizer");
}

void bleu_settings(ScoreOptions& o, Settings& v) {
  v.group("BLEU");
  v(o.bleu.smoothing, {"smooth-method", 's'}, "what stands for a precision of zero", smoothings);
  v(o.bleu.smooth_value, {"smooth-value", "sv"}, "value of floor (0.1 unless given) and add-k (1 unless given)");
  v(o.tokenizer, {"tokenize", "tok"},
    "tokenizer; unless given that of the target language. ja-mecab and those that follow it need what bough does not "
    "have",
    words({"none", "zh", "13a", "intl", "char", "ja-mecab", "ko-mecab", "spm", "flores101", "flores200", "spBLEU-1K"}));
  v(o.bleu.lowercase, {"lowercase", "lc"}, "of lower-cased text");
  v(o.is_forced, "force", "no warning about tokenized input");
}

void other_metric_settings(ScoreOptions& o, Settings& v) {
  v.group("chrF");
  v(o.chrf.char_order, {"chrf-char-order", "cc"}, "character n-gram order, at most 1000");
  v(o.chrf.word_order, {"chrf-word-order", "cw"}, "word n-gram order, at most 1000; 2 is chrF++");
  v(o.chrf.beta, "chrf-beta", "weight of recall over precision");
  v(o.chrf.whitespace, "chrf-whitespace", "white space counts as characters");
  v(o.chrf.lowercase, "chrf-lowercase", "of lower-cased text");
  v(o.chrf.eps_smoothing, "chrf-eps-smoothing", "smooth as chrF++.py, NLTK and Moses do");
  v.group("TER");
  v(o.ter.case_sensitive, "ter-case-sensitive", "of cased text");
  v(o.ter.asian_support, "ter-asian-support", "treat Asian characters as words");
  v(o.ter.no_punctuation, "ter-no-punct", "remove punctuation");
  v(o.ter.normalized, "ter-normalized", "normalize and tokenize");
}

void significance_settings(ScoreOptions& o, Settings& v) {
  v.group("Significance");
  v(o.with_confidence, {"confidence", "ci"}, "bootstrap confidence of one system");
  v(o.confidence_samples, {"confidence-n", "cin"}, "samples for that");
  v(o.with_randomisation, {"paired-ar", "par"}, "compare systems by approximate randomisation");
  v(o.with_bootstrap, {"paired-bs", "pbs"}, "compare systems by paired bootstrap");
  v(o.randomisation_trials, {"paired-ar-n", "parn"}, "trials of paired-ar");
  v(o.bootstrap_samples, {"paired-bs-n", "pbsn"}, "samples of paired-bs");
  v(o.threads, {"paired-jobs", 'j'}, "threads for everything; 0 = all cores");
}

void report_settings(ScoreOptions& o, Settings& v) {
  v.group("Report");
  v(o.is_quiet, {"quiet", 'q'}, "no messages");
  v(o.is_short, {"short", "sh"}, "short signatures");
  v(o.is_score_only, {"score-only", 'b'}, "only the score");
  v(o.width, {"width", 'w'}, "decimals, at most 64");
  v(o.with_details, {"detail", 'd'}, "text format with details");
  v(o.is_plain, {"no-color", "nc"}, "no colors on terminals");
  v(o.format, {"format", 'f'}, "latex is for several systems, table bough's own for people", formats);
  v(o.html, "html", "also write a report for people to this file", Path{Path::output});
  v(o.wants_version, {"version", 'V'}, "print the version and exit");
  v.command_line();
  v(o.wants_help, {"help", 'h'}, "print this and exit");
  v.command_line();
}

ScoreOptions read_options(std::span<const std::string> arguments) {
  ScoreOptions options;
  Settings rows;
  options.settings(rows);
  SettingsReader reader(rows, {.program = "bough-score"});
  read_as_argparse(rows, arguments, reader);
  check(!options.with_bootstrap || !options.with_randomisation,
        "{}: paired-ar and paired-bs are both given, must be one", command_line);
  if (options.wants_help || options.wants_version) return options;
  reader.apply();
  options.reads_stdin = !reader.find("input");
  options.is_tokenizer_given = reader.find("tokenize");
  for (const Setting& row : rows.rows())
    if (!row.refusal.empty() && reader.find(row.name)) options.refused = fmt::format("{}: {}", row.name, row.refusal);
  return options;
}

}  // namespace

void ScoreOptions::settings(Settings& v) {
  text_settings(*this, v);
  v.group("Metrics");
  v(metric_names, {"metrics", 'm'}, "what to compute", names_of_metrics());
  v(is_sentence_level, {"sentence-level", "sl"}, "score each line");
  bleu_settings(*this, v);
  other_metric_settings(*this, v);
  significance_settings(*this, v);
  report_settings(*this, v);
  absent_settings(v);
}

PairedTest ScoreOptions::paired() const {
  if (with_bootstrap) return PairedTest::bootstrap;
  return with_randomisation ? PairedTest::randomisation : PairedTest::none;
}

ScoreOptions parse_score_options(std::span<const std::string> arguments) {
  try {
    return read_options(arguments);
  } catch (const Error& error) {
    throw ScoreError(bad_command_line, error.what(), error.where);
  }
}

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
  for (const auto& [name, value] : formats)
    if (name == format) options.format = value;
  if (!read("NO_COLOR").empty()) options.is_plain = true;
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
  if (paired() == PairedTest::none) std::ranges::sort(all, {}, &Metric::index);
  return all;
}

std::string score_help() {
  ScoreOptions options;
  Settings rows;
  options.settings(rows);
  return "Usage: bough-score REFERENCE ... -i SYSTEM ... [options]\n"
         "       bough-score --model MODEL.npz ... [options]\n\n"
         "Scores translations against references: BLEU, chrF, TER, as sacreBLEU 2.6.0. Files have one segment\n"
         "a line; .gz is unpacked. With --model: log-probabilities as marian-scorer's, see\n"
         "bough-score --model MODEL.npz --help.\n\n" +
         format_help(rows);
}

std::vector<OptionEntry> score_option_entries() {
  ScoreOptions options;
  Settings rows;
  options.settings(rows);
  return option_entries(rows);
}

}  // namespace bough
