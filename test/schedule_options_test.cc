// Options of the learning rate's schedule, of epochs and of the end of a run, in runs that are interrupted and in runs
// that are not.
#include "core/base/npz.h"
#include "test/fixture_runs.h"

using namespace bough;

namespace {

std::vector<double> rates(const std::vector<nlohmann::json>& lines) {
  std::vector<double> all;
  for (const auto& line : lines)
    if (line.contains("learning_rate")) all.push_back(line["learning_rate"]);
  return all;
}

void check_same_state(const Runs& runs, const std::string& a, const std::string& b) {
  const NpzReader first(runs / (a + ".npz.optimizer.npz")), second(runs / (b + ".npz.optimizer.npz"));
  for (const char* array : {"master_parameters", "adam_mt", "adam_vt"})
    CHECK(first.read_f32(array) == second.read_f32(array));
}

/// Trains `updates` in one run and in two, and checks that both end alike. Returns the rates.
std::vector<double> train_twice(const Runs& runs, const std::vector<std::string>& options, int64_t first,
                                int64_t updates) {
  const auto until = [](int64_t update) { return fmt::format("{}u", update); };
  const auto words = with(tiny, options);
  runs.train("whole", with(words, {"--after", until(updates)}));
  runs.train("parts", with(words, {"--after", until(first)}));
  runs.train("parts", with(words, {"--after", until(updates)}));
  check_same_state(runs, "whole", "parts");
  CHECK(rates(runs.metrics("whole")) == rates(runs.metrics("parts")));
  return rates(runs.metrics("whole"));
}

void check_rates(const std::vector<double>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    INFO("update " << i + 1);
    CHECK(found[i] == Approx(0.01 * expected[i]).margin(1e-12));  // learn-rate of the runs
  }
}

}  // namespace

TEST_CASE("lr-warmup-cycle begins the warmup again and again", "[training]") {
  const Runs runs;
  check_rates(train_twice(runs, {"--lr-warmup", "3u", "--lr-warmup-cycle"}, 5, 8),
              {0, 1. / 3, 2. / 3, 1, 1. / 3, 2. / 3, 1, 1. / 3});
}

TEST_CASE("a decay repeats the warmup and resets the optimizer where it is asked to", "[training]") {
  const std::vector<std::string> decay = {"--lr-warmup",         "2u",      "--lr-decay",       "0.5",
                                          "--lr-decay-strategy", "batches", "--lr-decay-start", "4",
                                          "--lr-decay-freq",     "3"};
  {
    const Runs runs;
    check_rates(train_twice(runs, decay, 5, 8), {0, 0.5, 1, 1, 0.5, 0.5, 0.5, 0.25});
  }
  const Runs runs;
  const auto all = with(decay, {"--lr-decay-repeat-warmup", "--lr-decay-reset-optimizer"});
  check_rates(train_twice(runs, all, 5, 9), {0, 0.5, 1, 1, 0, 0.25, 0.5, 0, 0.125});
  runs.train("reset", with(with(tiny, all), {"--after", "4u"}));
  const NpzReader saved(runs / "reset.npz.optimizer.npz");
  for (const char* array : {"adam_mt", "adam_vt"})
    for (const float value : saved.read_f32(array)) CHECK(value == 0);
}

TEST_CASE("lr-warmup-at-reload begins the warmup where a run goes on, once", "[training]") {
  const Runs runs;
  const auto words = with(tiny, {"--lr-warmup", "3u"});
  runs.train("a", with(words, {"--after", "5u", "--lr-warmup-at-reload"}));
  runs.train("a", with(words, {"--after", "7u", "--lr-warmup-at-reload"}));
  runs.train("a", with(words, {"--after", "10u"}));
  check_rates(rates(runs.metrics("a")), {0, 1. / 3, 2. / 3, 1, 1, 0, 1. / 3, 2. / 3, 1, 1});
}

TEST_CASE("after with a plus sign counts from where a run goes on", "[training]") {
  const Runs runs;
  runs.train("whole", with(tiny, {"--after", "7u"}));
  runs.train("parts", with(tiny, {"--after", "+3u"}));
  runs.train("parts", with(tiny, {"--after", "+4u"}));
  check_same_state(runs, "whole", "parts");
  runs.train("whole", {"--after", "+2e"});  // of eight pairs, four in an update: the eighth ends the fourth epoch
  CHECK(runs.metrics("whole").size() == 10);
  runs.train("parts", {"--after", "5e"});
  check_same_state(runs, "whole", "parts");
}

TEST_CASE("logical-epoch is what the log and after call an epoch", "[training]") {
  LogicalEpoch epoch;
  TrainingClock clock{.updates = 25, .labels = 1500, .epochs = 3};
  CHECK(epoch.text(clock) == "3");
  CHECK(epoch.finished(clock) == 2);
  CHECK(parse_items({"2e", "1"}, epoch));
  CHECK(epoch.text(clock) == "1.5");
  CHECK(parse_items({"1kt", "2"}, epoch));
  CHECK(epoch.text(clock) == "1.50");
  CHECK(epoch.finished(clock) == 1);
  CHECK(format_items(epoch) == std::vector<std::string>{"1000t", "2"});
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{}, {"0e"}, {"1e", "-1"}, {"1e", "99"}, {"1e", "0", "0"}, {"x"}})
    CHECK_FALSE(parse_items(wrong, epoch));

  const Runs runs;
  runs.train("passes", with(tiny, {"--logical-epoch", "2e", "--after", "1e"}));
  CHECK(runs.metrics("passes").size() == 4);
  runs.train("updates", with(tiny, {"--logical-epoch", "3u", "1", "--after", "2e"}));
  CHECK(runs.metrics("updates").size() == 7);  // Marian's: beyond the second
}

TEST_CASE("valid-first validates before the first update, and not again", "[training]") {
  const Runs runs;
  const auto words = with(tiny, {"--valid-sets", fixtures + "corpus.src", fixtures + "corpus.trg", "--valid-first",
                                 "--valid-freq", "2u", "--valid-metrics", "ce-mean-words"});
  runs.train("whole", with(words, {"--after", "4u"}));
  runs.train("parts", with(words, {"--after", "2u"}));
  runs.train("parts", with(words, {"--after", "4u"}));
  check_same_state(runs, "whole", "parts");
  std::vector<int64_t> updates;
  for (const auto& line : runs.metrics("parts"))
    if (line.contains("valid")) updates.push_back(line["update"]);
  CHECK(updates == std::vector<int64_t>{0, 2, 4});
}

TEST_CASE("early-stopping asks the metrics of this run, of which a new one has not stalled", "[training]") {
  const Runs runs;
  const auto words = with(tiny, {"--valid-sets", fixtures + "corpus.src", fixtures + "corpus.trg", "--valid-freq", "1u",
                                 "--early-stopping", "2", "--learn-rate", "1e-12", "--early-stopping-epsilon", "1e9"});
  const auto updates = [&] { return runs.metrics("m").back()["update"]; };
  runs.train("m", with(words, {"--valid-metrics", "chrf", "--after", "9u"}));
  CHECK(updates() == 3);
  runs.train("m", with(words, {"--valid-metrics", "ce-mean", "chrf", "--early-stopping-on", "all", "--after", "4u"}));
  CHECK(updates() == 4);
}

TEST_CASE("a run that begins anew keeps the metrics of the one before", "[training]") {
  const Runs runs;
  runs.train("m", with(tiny, {"--after", "3u"}));
  const auto before = runs.metrics("m");
  runs.train("m", with(tiny, {"--after", "2u", "--no-reload"}));
  CHECK(runs.metrics("m").size() == 2);
  std::filesystem::rename(runs / "m.npz.metrics.jsonl.old", runs / "old.npz.metrics.jsonl");
  CHECK(runs.metrics("old") == before);
}

TEST_CASE("every log line covers what came since the one before, whatever stopped the run", "[training]") {
  const Runs runs;
  const auto until = [&](const char* end) {
    runs.train("m", with(tiny, {"--disp-freq", "4u", "--save-freq", "3u", "--after", end}));
    return NpzReader(runs / "m.npz.optimizer.npz").read_text("special:state.yml");
  };
  // The last update is saved, but is no log line's otherwise.
  CHECK(until("6u").find("display-updates: 0\n") != std::string::npos);
  CHECK(until("8u").find("display-updates: 0\n") != std::string::npos);
  runs.train("each", with(tiny, {"--after", "8u"}));
  const auto lines = runs.metrics("m"), each = runs.metrics("each");
  REQUIRE(lines.size() == 3);
  const auto labels = [&](size_t i) { return double(each[i]["labels"]) - double(each[i - 1]["labels"]); };
  const auto loss = [&](size_t i) { return double(each[i]["cost_mean_words"]) * labels(i); };
  CHECK(double(lines[2]["cost_mean_words"]) == Approx((loss(6) + loss(7)) / (labels(6) + labels(7))));
}

TEST_CASE("the time of updates before a kill is in the log line that has them", "[training]") {
  const ScratchFolder folder;
  TrainingState saved;
  saved.clock.updates = 3;
  saved.display.updates = 3;
  saved.display.labels = 1000;
  saved.display.seconds = 100;
  TrainingState state = TrainingState::from_yaml(saved.to_yaml(), "a test");
  TrainingLog log({}, {}, folder / "m.jsonl", 3);
  CHECK(log.after_update(
      state, state.clock, [] { return 1.0; }, true));
  const auto line = read_metrics(folder / "m.jsonl").at(0);
  CHECK(double(line["seconds"]) == Approx(100).epsilon(0.1));
  CHECK(double(line["words_per_second"]) == Approx(10).epsilon(0.1));
}

TEST_CASE("without divergence-threshold no loss is too high, whatever the checkpoint counted", "[training]") {
  const Runs runs;
  const std::vector<std::string> watched = {"--divergence-threshold", "0.001", "--divergence-updates", "1000"};
  runs.train("m", with(tiny, with(watched, {"--after", "3u"})));
  runs.train("m", with(tiny, {"--divergence-threshold", "0", "--after", "5u"}));
  const std::string state = NpzReader(runs / "m.npz.optimizer.npz").read_text("special:state.yml");
  CHECK(state.find("updates: 5\n") == 0);
}
