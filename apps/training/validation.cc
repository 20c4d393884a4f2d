#include "apps/training/validation.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <tuple>

#include "apps/inference/model_file.h"
#include "apps/inference/text_encoder.h"
#include "apps/inference/translation_printer.h"
#include "apps/inference/translator.h"
#include "core/base/command.h"
#include "core/base/files.h"
#include "core/base/io.h"
#include "core/base/log.h"
#include "data/metrics/metric.h"

namespace bough {
namespace {

/// One word of a shell command, whatever is in it.
std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

/// Marian's BLEU does not smooth; its other metrics are sacreBLEU's.
Metric as_marian(Metric metric, Tokenizer tokenizer) {
  if (auto* const bleu = std::get_if<BleuOptions>(&metric)) {
    bleu->smoothing = Smoothing::none;
    bleu->tokenizer = tokenizer;
  }
  return metric;
}

/// {E}, {U}, {B}, {T} of Marian's file name templates.
std::string fill_template(std::string text, const TrainingClock& clock) {
  const std::pair<const char*, int64_t> fields[] = {
      {"{E}", clock.epochs}, {"{U}", clock.updates}, {"{B}", clock.updates}, {"{T}", clock.labels}};
  for (const auto& [field, value] : fields)
    for (size_t at; (at = text.find(field)) != std::string::npos;) text.replace(at, 3, std::to_string(value));
  return text;
}

/// Removes the file at its end.
struct TemporaryFile {
  const std::string path;
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

}  // namespace

Validation::Validation(ValidationSettings settings, std::vector<std::shared_ptr<Vocabulary>> vocabularies,
                       TrainingModel& model, Communicator& ranks)
    : settings_(std::move(settings)), vocabularies_(std::move(vocabularies)), model_(model), ranks_(ranks) {
  read_files();
  if (!options_.translation_output.empty() &&
      std::ranges::none_of(options_.metrics, &ValidationMetric::needs_translations))
    log::warn("[valid] valid-translation-output: no metric of valid-metrics needs translations, so none are written");
}

std::pair<std::string, std::string> Validation::text_of_fields(const std::string& line, int64_t number) const {
  std::vector<std::string> fields;
  std::istringstream in(line + '\t');
  for (std::string field; std::getline(in, field, '\t');) fields.push_back(field);
  const std::string or_all = settings_.fields == 2 ? "" : fmt::format(", or {} as in train-sets", settings_.fields);
  check(fields.size() == 2 || fields.size() == settings_.fields,
        "{} line {}: {} fields, must be 2 with a tab between them{}", options_.valid_sets.front(), number,
        fields.size(), or_all);
  if (fields.size() == 2) return {fields[0], fields[1]};
  return {fields[settings_.text_fields[0]], fields[settings_.text_fields[1]]};
}

void Validation::read_files() {
  const auto& sets = options_.valid_sets;
  if (sets.empty()) return;  // scripts alone are given the model
  const bool is_tsv = settings_.tsv;
  check(sets.size() == (is_tsv ? 1u : 2u), "valid-sets has {} files, must have {}", sets.size(),
        is_tsv ? "1 (tsv)" : "2: source and target");
  const auto encoder = [&](const std::string& path, const auto& vocabulary) {
    return TextEncoder(path, vocabulary,
                       std::min<int64_t>(options_.max_length, Ensemble(model_.transformer()).longest_sentence()),
                       settings_.no_spm_encode);
  };
  TextEncoder source_encoder = encoder(sets.front(), vocabularies_.front());
  TextEncoder target_encoder = encoder(sets.back(), vocabularies_.back());
  LineReader source_lines(sets.front());
  std::unique_ptr<LineReader> target_lines;
  if (!is_tsv) target_lines = std::make_unique<LineReader>(sets.back());
  std::string source, target;
  while (source_lines.next(source)) {
    const int64_t number = source_lines.line_number();
    if (is_tsv) {
      std::tie(source, target) = text_of_fields(source, number);
    } else {
      check(target_lines->next(target), "valid-sets: '{}' has more lines than '{}', which ends after {}", sets.front(),
            sets.back(), number - 1);
    }
    if (target.ends_with('\r')) target.pop_back();
    references_.push_back(target);
    sources_.push_back(source_encoder.encode(source, number));
    targets_.push_back(target_encoder.encode(target, number));
    if (model_.transformer().options().right_left) std::reverse(targets_.back().begin(), targets_.back().end());
  }
  check(is_tsv || !target_lines->next(target), "valid-sets: '{}' has more lines than '{}', which ends after {}",
        sets.back(), sets.front(), sources_.size());
  check(!sources_.empty(), "valid-sets: '{}' is empty; give a file with sentences or leave valid-sets out",
        sets.front());
}

std::vector<MetricValue> Validation::run(TrainingState& state, const WholeArena& parameters) {
  const Share share = compute_share();
  const ValidationCosts costs = join_costs(share);
  const Decoded decoded = join_translations(share);
  if (!ranks_.is_first()) return {};
  if (!decoded.texts.empty() && !options_.translation_output.empty()) {
    const std::string output = translation_output(state);  // its template named no file yet
    settings_.check_output(output);
    write_translations(decoded, output);
  }
  const auto& metrics = options_.metrics;
  std::vector<MetricValue> values;
  for (const ValidationMetric* metric : metrics)
    values.push_back({std::string(metric->name), value_of(*metric, state, costs, decoded, parameters), false, false});
  // All values or none: a validation that does not come to its end is done again as a whole.
  for (size_t i = 0; i < metrics.size(); ++i) note(state.metrics[values[i].name], *metrics[i], values[i], i);
  return values;
}

void Validation::note(MetricState& m, const ValidationMetric& kind, MetricValue& found, size_t index) const {
  const auto& epsilons = options_.early_stopping_epsilon;
  const double epsilon = epsilons[std::min(index, epsilons.size() - 1)];
  const double gain = kind.is_lower_better ? m.best - found.value : found.value - m.best;
  const bool is_first = !m.has_best || std::isnan(m.best);  // nothing is worse than no number
  const bool is_number = !std::isnan(found.value);
  // As in Marian, a gain below epsilon moves the best value but counts as a stall.
  found.is_best = is_number && (is_first || gain > 0);
  found.is_better = is_number && (is_first || gain > epsilon);
  if (is_first || gain > 0) m.best = found.value;
  m.has_best = true;
  m.stalled = found.is_better ? 0 : m.stalled + 1;
}

double Validation::value_of(const ValidationMetric& metric, const TrainingState& state, const ValidationCosts& costs,
                            const Decoded& decoded, const WholeArena& parameters) const {
  using Source = ValidationMetric::Source;
  switch (metric.source) {
    case Source::costs:
      return metric.of_costs(costs);
    case Source::translations:
      return score_of_text(*metric.text_kind, decoded);
    case Source::pieces:
      return score_of_pieces(*metric.text_kind, decoded);
    case Source::translation_script:
      return translation_script(state, decoded);
    case Source::model_script:
      return model_script(state, parameters);
  }
  return 0;
}

double Validation::score_of_text(const MetricKind& kind, const Decoded& decoded) const {
  // Marian scores text that a SentencePiece vocabulary made as 13a, other tokens as they stand.
  const bool is_plain = vocabularies_.back()->is_sentencepiece();
  return corpus_score(decoded.texts, Texts(references_),
                      as_marian(kind.defaults, is_plain ? Tokenizer::v13a : Tokenizer::none));
}

double Validation::score_of_pieces(const MetricKind& kind, const Decoded& decoded) const {
  const auto spell = [&](const Tokens& tokens) {
    std::string text;
    for (int32_t id : tokens) text += std::to_string(id) + " ";
    return text;
  };
  std::vector<std::string> hypotheses, references;
  for (const Tokens& tokens : decoded.tokens) hypotheses.push_back(spell(tokens));
  for (Tokens tokens : targets_)
    references.push_back(spell(in_reading_order(std::move(tokens), model_.transformer().options().right_left)));
  return corpus_score(hypotheses, Texts(references), as_marian(kind.defaults, Tokenizer::none));
}

double Validation::run_script(const std::string& argument) const {
  // The path is a shell string, as in Marian: users write "bash ./scripts/validate.sh". Unless it names a file.
  const std::string& path = options_.script_path;
  const bool is_file = access(path.c_str(), F_OK) == 0, is_here = path.find('/') == std::string::npos;
  std::string command = is_file ? quoted(is_here ? "./" + path : path) : path;
  for (const std::string& word : options_.script_args) command += " " + quoted(word);
  command += " " + quoted(argument);
  const auto [output, status] = run_command(command);
  check(status == 0, "valid-script-path: '{}' ended with exit code {}; it must print the score and end with 0", command,
        WIFEXITED(status) ? WEXITSTATUS(status) : status);
  char* end = nullptr;
  const double value = std::strtod(output.c_str(), &end);
  check(end != output.c_str(), "valid-script-path: '{}' printed '{}', must print a number", command,
        output.substr(0, 80));
  return value;
}

double Validation::translation_script(const TrainingState& state, const Decoded& decoded) const {
  if (!options_.translation_output.empty()) return run_script(translation_output(state));
  const TemporaryFile temporary{settings_.model + ".valid-output"};
  write_translations(decoded, temporary.path);
  return run_script(temporary.path);
}

std::string Validation::translation_output(const TrainingState& state) const {
  return fill_template(options_.translation_output, state.clock);
}

void Validation::write_translations(const Decoded& decoded, const std::string& path) {
  std::string text;
  for (const auto& line : decoded.texts) text += on_one_line(line) + "\n";
  write_file(path, content_for(path, text));
}

double Validation::model_script(const TrainingState& state, const WholeArena& parameters) const {
  const std::string path = settings_.model + ".dev.npz";
  save_model(path, model_.options_at(state.clock), model_.parameters(), parameters);
  return run_script(path);
}

}  // namespace bough
