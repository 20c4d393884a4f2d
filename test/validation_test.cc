// Validation metrics: each is what bough-score says of the translations, and knows which way is better.
#include "apps/training/validation.h"

#include <filesystem>
#include <set>

#include "core/base/io.h"
#include "test/catch.h"
#include "test/corpus_files.h"
#include "test/scratch_folder.h"
#include "test/training_run.h"

using namespace bough;

namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  LineReader reader(path);
  for (std::string line; reader.next(line);) lines.push_back(line);
  return lines;
}

std::string words(const std::vector<int32_t>& ids) {
  std::string text;
  for (int32_t id : ids) text += (text.empty() ? "w" : " w") + std::to_string(id);
  return text;
}

/// An untrained model and ten sentence pairs for it to translate.
struct Rig {
  ScratchFolder folder;
  Run run{small_model(ResidualKind::post_ln), {}, adam(0.001)};
  std::vector<std::shared_ptr<Vocabulary>> vocabularies;
  ValidationSettings settings;

  explicit Rig(const std::vector<const char*>& metrics) {
    const Sentences pairs(10);
    std::string dictionary = "</s>\n<unk>\n", source, target;
    for (int id = 2; id < vocabulary; ++id) dictionary += fmt::format("w{}\n", id);
    for (size_t i = 0; i < pairs.size(); ++i) {
      source += words(pairs.sources[i]) + "\n";
      target += words(pairs.targets[i]) + "\n";
    }
    write_text(folder / "vocabulary.txt", dictionary);
    write_text(folder / "source", source);
    write_text(folder / "target", target);
    vocabularies.assign(2, load_vocabulary(folder / "vocabulary.txt"));
    for (const char* name : metrics) settings.options.metrics.push_back(&validation_metric(name));
    settings.options.metrics.erase(settings.options.metrics.begin());
    settings.options.valid_sets = {folder / "source", folder / "target"};
    settings.options.script_path = "echo 1 #";
    settings.options.translation_output = folder / "translations";
    settings.model = folder / "model";
    settings.decoding.beam_size = 2;
    run.model.set_update_state({}, 0, 0, 1);
  }
  std::vector<MetricValue> validate(TrainingState& state) {
    return Validation(settings, vocabularies, run.model).run(state);
  }
};

}  // namespace

TEST_CASE("text metrics of a validation are those of its translations", "[validation]") {
  Rig rig({"chrf", "ter", "translation", "bleu", "bleu-detok"});
  TrainingState state;
  const auto values = rig.validate(state);
  const auto translations = lines_of(rig.folder / "translations"), references = lines_of(rig.folder / "target");
  REQUIRE(translations.size() == 10);
  BleuOptions bleu;
  bleu.smoothing = Smoothing::none;
  bleu.tokenizer = Tokenizer::none;
  REQUIRE(values.size() == 5);
  CHECK(values[0].value == corpus_score(translations, references, ChrfOptions{}));
  CHECK(values[1].name == "ter");
  CHECK(values[1].value == corpus_score(translations, references, TerOptions{}));
  CHECK(values[1].value > 0);
  CHECK(values[3].value == corpus_score(translations, references, bleu));
  CHECK(values[4].value == values[3].value);
}

TEST_CASE("less is better for costs and TER, more for the other metrics", "[validation]") {
  const std::set<std::string_view> lower = {"cross-entropy", "ce-mean", "ce-mean-words", "ce-sum", "perplexity", "ter"};
  std::vector<const char*> names;
  for (const ValidationMetric& metric : validation_metrics()) {
    CHECK(metric.is_lower_better == (lower.count(metric.name) == 1));
    names.push_back(metric.name.data());
  }
  Rig rig(names);
  for (const double best : {-1.0, 1e9}) {
    TrainingState state;
    for (const char* name : names) state.metrics[name] = {best, true, 0};
    for (const MetricValue& m : rig.validate(state)) {
      INFO(m.name << " " << m.value << " after " << best);
      CHECK(m.is_better == ((best < 0) != (lower.count(m.name) == 1)));
      CHECK(state.metrics[m.name].stalled == (m.is_better ? 0 : 1));
    }
  }
}

TEST_CASE("translations are written whatever metric needs them, packed if the name ends in .gz", "[validation]") {
  for (const char* metric : {"bleu", "bleu-detok", "bleu-segmented", "chrf", "ter", "translation"}) {
    Rig rig({metric});
    TrainingState state;
    state.clock.updates = 7;
    for (const char* name : {"a/{U}.txt", "a/{U}.gz"}) {
      rig.settings.options.translation_output = rig.folder / name;
      rig.validate(state);
    }
    CHECK(lines_of(rig.folder / "a/7.txt").size() == 10);
    CHECK(lines_of(rig.folder / "a/7.gz") == lines_of(rig.folder / "a/7.txt"));
  }
}

TEST_CASE("file names and arguments are one word to a script, whatever is in them", "[validation]") {
  Rig rig({"translation"});
  TrainingState state;
  write_text(rig.folder / "judge", "#!/bin/sh\n[ $# = 3 ] && [ -z \"${1%a b}\" ] && wc -l <\"$3\"\n");
  std::filesystem::permissions(rig.folder / "judge", std::filesystem::perms::owner_all);
  rig.settings.options.script_args = {"a b", "$(touch created)'"};
  for (const std::string name : {"two words", "it's", "$(touch created)", "\"", "`touch created`", "a;b", "*"})
    for (const bool is_kept : {true, false}) {
      rig.settings.options.script_path = rig.folder / "judge";
      rig.settings.options.translation_output = is_kept ? rig.folder / name : "";
      rig.settings.model = rig.folder / name + ".npz";
      CHECK(rig.validate(state).front().value == 10);
      std::filesystem::create_directories(rig.folder / name + ".d");
      std::filesystem::copy_file(rig.folder / "judge", rig.folder / name + ".d/judge",
                                 std::filesystem::copy_options::overwrite_existing);
      rig.settings.options.script_path = rig.folder / name + ".d/judge";
      CHECK(rig.validate(state).front().value == 10);
    }
  CHECK_FALSE(std::filesystem::exists("created"));
}
