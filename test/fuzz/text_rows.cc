#include <algorithm>
#include <fstream>
#include <sstream>

#include "apps/inference/nbest_list.h"
#include "apps/inference/shortlist.h"
#include "apps/option_tables.h"
#include "apps/report/page.h"
#include "apps/scoring/command.h"
#include "apps/training/train_options.h"
#include "apps/training/training_state.h"
#include "core/base/io.h"
#include "core/base/settings_reader.h"
#include "core/base/unicode.h"
#include "data/dictionary.h"
#include "data/metrics/metric.h"
#include "data/parallel_reader.h"
#include "data/vocabulary.h"
#include "test/fuzz/row.h"

using namespace bough;

namespace {

/// What YAML can be written of again: other bytes are read as they are, since Marian's vocabularies may have them.
bool is_text(std::string_view bytes) {
  if (unicode::find_invalid_utf8(bytes) || bytes.find('\0') != bytes.npos) return false;  // nor UTF-16
  // Code points that are no characters, as U+FFFF, are not YAML: yaml-cpp writes U+FFFD for them.
  return std::ranges::none_of(unicode::decode_utf8(bytes),
                              [](char32_t c) { return (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF); });
}

void read_yaml(const std::string&, std::string_view bytes) {
  const Yaml yaml = parse_yaml(std::string(bytes), "text");
  require(!is_text(bytes) || parse_yaml(format_yaml(yaml), "text again") == yaml);
}

void read_model_yaml(const std::string&, std::string_view bytes) {
  const Yaml saved = ModelOptions::from_yaml(parse_yaml(std::string(bytes), "text"), "text").to_yaml();
  require(ModelOptions::from_yaml(saved, "text again").to_yaml() == saved);
}

void read_state_yaml(const std::string&, std::string_view bytes) {
  const Yaml saved = TrainingState::from_yaml(parse_yaml(std::string(bytes), "text"), "text").to_yaml();
  require(TrainingState::from_yaml(saved, "text again").to_yaml() == saved);
}

/// As the option parser does it, but that no log is opened.
TrainOptions options_of(const Yaml& file) {
  TrainOptions options;
  Settings rows;
  options.settings(rows);
  SettingsReader reader(rows, {.program = "bough-train",
                               .aliases = option_aliases(),
                               .refused = refused_options(),
                               .rivals = rival_options(),
                               .ignored = ignored_options()});
  reader.read_yaml(file, "config.yml", false);
  reader.apply();
  options.resolve(reader.given());
  options.validate();
  return options;
}

void read_settings(const std::string&, std::string_view bytes) {
  const Yaml dumped = dump(options_of(parse_yaml(std::string(bytes), "config.yml")));
  require(!is_text(bytes) || dump(options_of(parse_yaml(format_yaml(dumped), "dump.yml"))) == dumped);
}

/// Every token is found under its id, or under a smaller one that has it, too.
void read_vocabulary(const std::string& path, std::string_view) {
  const auto vocabulary = load_vocabulary(path);
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < vocabulary->size(); ++id) {
    const std::string piece = vocabulary->piece(id);
    require(vocabulary->id(piece) <= id || piece.empty());
    vocabulary->encode(piece);
    if (id > unknown_id) ids.push_back(id);
  }
  vocabulary->decode(ids);
}

/// Of vocabularies of four words.
void read_shortlist(const std::string& path, std::string_view) {
  static const auto words = [&] {
    std::ofstream(path + ".words") << "</s>\n<unk>\na\nb\n";
    return load_vocabulary(path + ".words", 0);
  }();
  const Shortlist list({.path = path, .first = 1, .is_checked = false}, *words, *words);
  const std::vector<int32_t> sentence{2, 3, 1};
  for (const int32_t id : list.words(sentence, {}, 1)) require(id >= 0 && id < 4 && id != 1);
}

void read_lines(const std::string& path, std::string_view) {
  LineReader reader(path);
  int64_t lines = 0;
  for (std::string line; reader.next(line); ++lines) require(line.find('\n') == line.npos);
  require(reader.line_number() == lines);
}

void read_tsv(const std::string& path, std::string_view) {
  CorpusOptions corpus;
  corpus.tsv = true;
  corpus.train_sets = {path};
  ParallelReader reader(corpus);
  for (std::string source, target; reader.next(source, target);) {
    require(source.find('\t') == source.npos && target.find('\t') == target.npos);
    check_text(source, path, reader.line_number());
    check_text(target, path, reader.line_number());
  }
}

void read_nbest_list(const std::string& path, std::string_view bytes) {
  std::istringstream lines{std::string(bytes)};
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const NBestLine parsed = parse_nbest_line(line, path, ++number);
    const NBestLine again = parse_nbest_line(with_feature(line, "Score", -1.5), path, number);
    require(again.number == parsed.number && again.text == parsed.text);
  }
}

/// The whole command on one file as systems and references; its first byte chooses how many fields there are.
void score(const std::string& path, std::string_view bytes) {
  const std::string fields = bytes.empty() ? "1" : std::to_string(1 + uint8_t(bytes[0]) % 3);
  std::ostringstream out, messages;
  const int code = run_score(std::vector<std::string>{path, "-nr", fields, "-i", path, "-m", "bleu", "chrf", "-j", "1"},
                             out, messages);
  require(code == 0 || !messages.str().empty());
}

/// No text of a file ends a script of the page.
void report(const std::string& path, std::string_view) {
  const std::string page = format_page({read_run_metrics(path)}, 0);
  const size_t first = page.find("</script"), second = page.find("</script", first + 1);
  require(second != page.npos && page.find("</script", second + 1) == page.npos);
}

/// The metric and its options that a byte chooses.
Metric choose_metric(unsigned bits) {
  const auto bit = [&](int i) { return (bits >> i & 1) != 0; };
  if (bits % 3 == 1) return ChrfOptions{6, bit(3) ? 2 : 0, 2, bit(4), bit(5), bit(6)};
  if (bits % 3 == 2) return TerOptions{bit(3), bit(4), bit(5), bit(6)};
  BleuOptions bleu;
  bleu.tokenizer = static_cast<Tokenizer>(bits / 3 % 5);
  bleu.lowercase = bit(6);
  return bleu;
}

void check_unicode(std::string_view text) {
  const std::u32string decoded = unicode::decode_utf8(text);
  const bool is_valid = !unicode::find_invalid_utf8(text);
  require((unicode::encode_utf8(decoded) == text) >= is_valid);
  if (is_valid) require(unicode::encode_utf8(unicode::rstrip(decoded)) == unicode::rstrip_utf8(text));
}

/// Any bytes as hypothesis and reference: statistics and scores make sense.
void measure(const std::string&, std::string_view bytes) {
  if (bytes.size() < 2) return;
  const Metric metric = choose_metric(uint8_t(bytes[0]));
  const std::string_view text = bytes.substr(1);
  const size_t middle = std::min(text.find('\n'), text.size());
  const std::string_view hypothesis = text.substr(0, middle), reference = text.substr(middle);
  check_unicode(text);
  std::vector<double> statistics(statistics_width(metric));
  auto counter = make_counter(metric);
  std::visit(
      [&](auto& c) {
        c.set_references(std::vector{reference, hypothesis});
        c.count(hypothesis, statistics);
      },
      counter);
  for (const double value : statistics) require(value >= 0);
  require(score_from(statistics, metric) >= 0);
}

constexpr Row rows[] = {
    {"yaml", "", read_yaml},
    {"model-yaml", "", read_model_yaml},
    {"state-yaml", "", read_state_yaml},
    {"settings", "", read_settings},
    {"vocabulary-yaml", "vocabulary.yml", read_vocabulary},
    {"vocabulary-text", "vocabulary.txt", read_vocabulary},
    {"shortlist", "lex.s2t", read_shortlist},
    {"gzip", "lines.gz", read_lines},
    {"tsv", "corpus.tsv", read_tsv},
    {"n-best", "", read_nbest_list},
    {"score", "text", score},
    {"metrics", "", measure},
    {"report", "run.jsonl", report},
};

}  // namespace

std::span<const Row> text_rows() { return rows; }
