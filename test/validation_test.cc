// Validation metrics: each is what bough-score says of the translations, and knows which way is better.
#include "apps/training/validation.h"

#include <filesystem>
#include <set>

#include "core/base/interrupt.h"
#include "core/base/io.h"
#include "test/catch.h"
#include "test/corpus_files.h"
#include "test/scratch_folder.h"
#include "test/thread_ranks.h"
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
    return Validation(settings, vocabularies, run.model).run(state, run.model.whole_values());
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

TEST_CASE("a gain below early-stopping-epsilon is the best value, and a stall", "[validation]") {
  Rig rig({"cross-entropy", "chrf"});
  rig.settings.options.early_stopping_epsilon = {1e9};
  TrainingState state;
  state.metrics["cross-entropy"] = {1e6, true, 2};
  state.metrics["chrf"] = {1e6, true, 2};
  const auto values = rig.validate(state);
  CHECK(values[0].is_best);
  CHECK(state.metrics["cross-entropy"].best == values[0].value);
  CHECK_FALSE(values[1].is_best);
  for (const MetricValue& m : values) {
    CHECK_FALSE(m.is_better);
    CHECK(state.metrics[m.name].stalled == 3);
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

TEST_CASE("ranks that share a validation find what one process finds, to the bit", "[validation][ranks]") {
  Rig rig({"ce-sum", "perplexity", "bleu", "bleu-segmented", "chrf", "translation", "valid-script"});
  rig.settings.options.mini_batch = 3;
  TrainingState alone;
  const auto expected = rig.validate(alone);
  const auto translations = lines_of(rig.folder / "translations");
  for (const int size : {2, 3, 12}) {  // of twelve two have nothing to translate
    std::filesystem::remove(rig.folder / "translations");
    CHECK_NOTHROW(run_ranks(size, [&](Communicator& ranks) {
      Run run(small_model(ResidualKind::post_ln), {}, adam(0.001), 1, DType::f32, ranks);
      run.model.set_update_state({}, 0, 0, 1);
      TrainingState state;
      const auto values =
          Validation(rig.settings, rig.vocabularies, run.model, ranks).run(state, run.model.whole_values());
      check(values.size() == (ranks.is_first() ? expected.size() : 0), "rank {} has values", ranks.rank());
      check(state.metrics.size() == values.size(), "rank {} has another state", ranks.rank());
      for (size_t i = 0; i < values.size(); ++i)
        check(values[i].value == expected[i].value, "{} is {}, must be {}", values[i].name, values[i].value,
              expected[i].value);
    }));
    CHECK(lines_of(rig.folder / "translations") == translations);
  }
}

TEST_CASE("a rank that fails in a validation ends that of the others", "[validation][ranks]") {
  Rig rig({"ce-sum", "bleu"});
  std::string dictionary = "</s>\n<unk>\n", text;
  for (int id = 2; id < 300; ++id) dictionary += fmt::format("w{}\n", id);
  for (int i = 0; i < 10; ++i) text += "w299 w2\n";
  write_text(rig.folder / "many.txt", dictionary);
  for (const char* side : {"source", "target"}) write_text(rig.folder / side, text);
  rig.vocabularies.assign(2, load_vocabulary(rig.folder / "many.txt"));
  std::vector<std::string> ends(3);
  run_ranks(3, [&](Communicator& ranks) {
    ModelOptions options = small_model(ResidualKind::post_ln);
    if (ranks.rank() != 1) options.vocab_sizes = {300, 300};  // the second knows fewer words
    Run run(options, {}, adam(0.001), 1, DType::f32);
    run.model.set_update_state({}, 0, 0, 1);
    TrainingState state;
    try {
      Validation(rig.settings, rig.vocabularies, run.model, ranks).run(state, {});
    } catch (const Error& error) {
      ends[size_t(ranks.rank())] = error.what();
    } catch (const Interrupted&) {
      ends[size_t(ranks.rank())] = "interrupted";
    }
  });
  CHECK(ends[0] == "interrupted");
  CHECK_THAT(ends[1], Catch::Contains("embedding: id 299 is outside the vocabulary"));
  CHECK(ends[2] == "interrupted");
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
