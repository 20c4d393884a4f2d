// What a run goes on with: checkpoints of earlier versions, and options that may change or must not.
#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/npz.h"
#include "test/fixture_runs.h"

using namespace bough;

TEST_CASE("a checkpoint of version 7c3ff0f goes on as it did there", "[training]") {
  for (const std::string name : {"post-ln", "branchnorm"}) {
    INFO(name);
    const Runs runs;
    runs.take(name);
    // Model, ramp and schedule are the checkpoint's, whatever the defaults are now; the greatest length is the run's.
    const TrainOptions options = runs.options(name, {"--after", "16u", "--max-length", "30"});
    CHECK(options.model.model_dim == 8);
    CHECK(options.model.branchnorm_init == BranchInit::xavier);
    CHECK(options.model.branchnorm_max_step == SchedulePeriod{30});
    CHECK(options.model.branchnorm_schedule == (name == "branchnorm" ? BranchSchedule::sqrt : BranchSchedule::linear));
    Trainer(options).run();
    const auto before = read_metrics(fixtures + name + ".npz.metrics.jsonl"), now = runs.metrics(name);
    REQUIRE(now.size() == 6);
    for (size_t i = 0; i < now.size(); ++i) {
      const auto& expected = before[before.size() - now.size() + i];
      INFO("update " << now[i]["update"]);
      CHECK(now[i]["update"] == expected["update"]);
      CHECK(now[i]["alpha"] == expected["alpha"]);
      CHECK(now[i]["learning_rate"] == expected["learning_rate"]);
      CHECK(std::abs(double(now[i]["cost_mean_words"]) - double(expected["cost_mean_words"])) < 1e-5);
    }
  }
}

TEST_CASE("a checkpoint goes on with what is given where that is the run's, and is refused where it is the model's",
          "[training]") {
  const Runs runs;
  runs.take("branchnorm");
  const TrainOptions changed =
      runs.options("branchnorm", {"--branchnorm-max-step", "50u", "--branchnorm-schedule", "linear"});
  CHECK(changed.model.branchnorm_max_step == SchedulePeriod{50});
  CHECK(changed.model.branchnorm_schedule == BranchSchedule::linear);
  CHECK(changed.model.residual == ResidualKind::branchnorm);
  CHECK(runs.options("branchnorm", {"--no-reload"}).model.residual == ResidualKind::post_ln);

  const auto refuses = [&](const std::vector<std::string>& given, const std::string& change) {
    const std::string message = runs.refusal("branchnorm", with({"--after", "12u"}, given));
    INFO(message);
    CHECK(message.find("branchnorm.npz.optimizer.npz: was written with " + change) != std::string::npos);
  };
  refuses({"--transformer-heads", "4"}, "transformer-heads: 2, but it is 4 now; use the options of that run");
  refuses({"--transformer-residual", "post-ln"}, "transformer-residual: branchnorm, but it is post-ln now");
  refuses({"--transformer-preprocess", "n", "--transformer-postprocess", "da", "--transformer-postprocess-top", "n"},
          "transformer-residual: branchnorm, but it is pre-ln now");

  // Parameters alone have no ramp to go on with, but are of a model.
  runs.train("branchnorm", {"--after", "11u"});
  std::filesystem::remove(runs / "branchnorm.npz.optimizer.npz");
  const TrainOptions anew = runs.options("branchnorm", {"--lr-warmup", "70"});
  CHECK(anew.model.residual == ResidualKind::branchnorm);
  CHECK(anew.model.branchnorm_max_step != SchedulePeriod{30});
  CHECK(runs.refusal("branchnorm", {"--transformer-heads", "4"}).find("branchnorm.npz: was written with") !=
        std::string::npos);
}

TEST_CASE("parameters of a finished ramp go on as post-ln, or begin the ramp again", "[training]") {
  const Runs runs;
  runs.train("done", with(tiny, {"--transformer-residual", "branchnorm", "--branchnorm-schedule", "linear",
                                 "--branchnorm-max-step", "2u", "--after", "3u"}));
  std::filesystem::remove(runs / "done.npz.optimizer.npz");
  CHECK(runs.options("done", {}).model.residual == ResidualKind::post_ln);
  for (const char* kind : {"post-ln", "branchnorm"}) {
    CHECK(runs.refusal("done", {"--transformer-residual", kind, "--after", "1u"}) == "no exception");
    CHECK(runs.refusal("done", {"--transformer-residual", "pre-ln", "--no-optimizer-reload", "--after", "1u"})
              .find("transformer-residual") != std::string::npos);
    std::filesystem::remove(runs / "done.npz.optimizer.npz");
    runs.train("done", with(tiny, {"--no-reload", "--transformer-residual", "branchnorm", "--branchnorm-schedule",
                                   "linear", "--branchnorm-max-step", "2u", "--after", "3u"}));
    std::filesystem::remove(runs / "done.npz.optimizer.npz");
  }
}

TEST_CASE("learned positions keep max-length, sinusoids do not", "[training]") {
  const Runs runs;
  const auto learned = with(tiny, {"--transformer-train-position-embeddings", "true"});
  runs.train("learned", with(learned, {"--max-length", "20", "--after", "2u"}));
  CHECK(runs.options("learned", {}).corpus.max_length == 20);
  runs.train("learned", {"--after", "3u"});
  CHECK(runs.refusal("learned", {"--after", "4u", "--max-length", "25"})
            .find("was written with max-length: 20, but it is 25 now") != std::string::npos);
  runs.train("sinusoids", with(tiny, {"--max-length", "20", "--after", "2u"}));
  runs.train("sinusoids", {"--max-length", "25", "--after", "3u"});
  CHECK(runs.metrics("sinusoids").size() == 3);
}

TEST_CASE("a training state with a damaged value is one sentence", "[training]") {
  const Runs runs;
  const NpzReader file(fixtures + "branchnorm.npz.optimizer.npz");
  std::string state = file.read_text("special:state.yml");
  const size_t seed = state.find("seed: ") + 6;
  state.replace(seed, state.find('\n', seed) - seed, "seven");
  const std::vector<float> parameters = file.read_f32("master_parameters");
  const std::string model = file.read_text("special:model.yml");
  write_npz(runs / "model.npz.optimizer.npz",
            std::vector{npz_array<float>("master_parameters", parameters), npz_array<char>("special:state.yml", state),
                        npz_array<char>("special:model.yml", model)});
  const std::string message = runs.refusal("model", {});
  INFO(message);
  CHECK(message.find("the training state is damaged: seed is 'seven', must be a whole number") != std::string::npos);
  CHECK_THROWS_AS(Trainer(runs.options("model", {})), Error);
}

TEST_CASE("a ramp of more tokens than the run has is said without overflow", "[training]") {
  const Runs runs;
  const std::string log = runs / "log";
  runs.train("ramp", with(tiny, {"--transformer-residual", "branchnorm", "--branchnorm-schedule", "linear",
                                 "--branchnorm-max-step", "4Gt", "--after", "3Gt", "--after-epochs", "1", "--log", log,
                                 "--log-level", "warn"}));
  std::ifstream in(log);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  INFO(text);
  CHECK(text.find("the run ends at 3Gt") != std::string::npos);
  CHECK(text.find("Lower branchnorm-max-step to 3Gt or less") != std::string::npos);
}

TEST_CASE("every setting of special:model.yml says what it is to a run that goes on", "[settings]") {
  std::vector<std::string> names = ModelOptions::saved_names(), classified;
  for (const SavedSetting& row : ModelOptions::saved_meanings()) classified.push_back(row.name);
  std::sort(names.begin(), names.end());
  std::sort(classified.begin(), classified.end());
  CHECK(names == classified);

  // A file that lacks a setting means what it meant when there was none.
  Yaml oldest = Yaml::map();
  ModelOptions model;
  model.vocab_sizes = {6, 6};
  const Yaml all = model.to_yaml();
  for (const SavedSetting& row : ModelOptions::saved_meanings())
    if (row.absent == nullptr) oldest.set(row.name, *all.find(row.name));
  const Yaml read = ModelOptions::from_yaml(oldest, "model").to_yaml();
  for (const SavedSetting& row : ModelOptions::saved_meanings()) {
    INFO(row.name);
    if (row.absent)
      CHECK(*read.find(row.name) == (row.absent == std::string_view("[]") ? Yaml::list() : Yaml(row.absent)));
  }
}
