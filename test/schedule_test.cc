// Learning rate and averages against closed forms and a public Marian log.
#include "optim/schedule.h"

#include <cmath>

#include "test/catch.h"

using namespace bough;

namespace {

TrainingClock after(int64_t updates) {
  TrainingClock clock;
  clock.updates = updates;
  return clock;
}

}  // namespace

TEST_CASE("inverse square root after a linear warmup, as in Marian's log", "[schedule]") {
  OptimizerOptions o;
  o.learning_rate = 3e-4;
  o.warmup = {16000, ScheduleUnit::updates};
  o.inverse_sqrt = {{16000, ScheduleUnit::updates}};
  CHECK(learning_rate(o, after(0), 1) == 0);
  CHECK(learning_rate(o, after(8000), 1) == Approx(1.5e-4));
  CHECK(learning_rate(o, after(16000), 1) == Approx(3e-4));
  CHECK(learning_rate(o, after(18000), 1) == Approx(2.8284e-4).epsilon(1e-4));
  CHECK(learning_rate(o, after(19000), 1) == Approx(2.7530e-4).epsilon(1e-4));
  CHECK(learning_rate(o, after(20000), 1) == Approx(2.6833e-4).epsilon(1e-4));
  CHECK(learning_rate(o, after(20000), 0.5) == Approx(1.34165e-4).epsilon(1e-4));
  o.inverse_sqrt = {{1000, ScheduleUnit::updates}, {4000, ScheduleUnit::updates}};
  CHECK(learning_rate(o, after(4000), 1) == Approx(3e-4 * 0.25));
  CHECK(learning_rate(o, after(32000), 1) == Approx(3e-4 * std::sqrt(1000.0 / 29000.0)));
}

TEST_CASE("warmup may start above zero and count target tokens", "[schedule]") {
  OptimizerOptions o;
  o.learning_rate = 1;
  o.warmup_start_rate = 0.2;
  o.warmup = {1000, ScheduleUnit::labels};
  TrainingClock clock;
  clock.labels = 500;
  CHECK(learning_rate(o, clock, 1) == Approx(0.6));
}

TEST_CASE("a repeated warmup begins where it is said, and the decay goes on", "[schedule]") {
  OptimizerOptions o;
  o.learning_rate = 1;
  o.warmup = {100, ScheduleUnit::updates};
  o.inverse_sqrt = {{100, ScheduleUnit::updates}};
  CHECK(learning_rate(o, after(400), 1, 400) == 0);
  CHECK(learning_rate(o, after(450), 1, 400) == Approx(0.5 * std::sqrt(100.0 / 450)));
  CHECK(learning_rate(o, after(900), 1, 400) == Approx(std::sqrt(100.0 / 900)));
}

TEST_CASE("lr-decay strategies", "[schedule]") {
  OptimizerOptions o;
  o.decay = 0.5;
  o.decay_strategy = DecayStrategy::epoch_stalled;
  o.decay_start = {3, 2};
  CHECK_FALSE(decays_at_epoch_end(o, {2, 0, 1}));
  CHECK(decays_at_epoch_end(o, {3, 0, 0}));  // Marian counts on before it asks: the third epoch begins
  CHECK(decays_at_epoch_end(o, {2, 0, 2}));
  CHECK_FALSE(decays_at_stall(o, {0, 0, 2}));  // pairs wait for the end of the epoch
  CHECK_FALSE(decays_at_update(o, {0, 100, 0}));
  o.decay_start = {0, 0};  // never
  CHECK_FALSE(decays_at_epoch_end(o, {100, 100, 100}));
  o.decay_strategy = DecayStrategy::epoch_batches;
  o.decay_start = {10, 100};
  CHECK_FALSE(decays_at_epoch_end(o, {9, 99, 100}));
  CHECK(decays_at_epoch_end(o, {9, 100, 0}));
  CHECK_FALSE(decays_at_update(o, {0, 100, 0}));
  o.decay_strategy = DecayStrategy::batches;
  o.decay_start = {100};
  o.decay_freq = 50;
  CHECK_FALSE(decays_at_update(o, {0, 99, 0}));
  CHECK(decays_at_update(o, {0, 100, 0}));
  CHECK_FALSE(decays_at_update(o, {0, 149, 0}));
  CHECK(decays_at_update(o, {0, 150, 0}));
  o.decay_strategy = DecayStrategy::stalled;
  o.decay_start = {2};
  CHECK_FALSE(decays_at_stall(o, {0, 0, 1}));
  CHECK(decays_at_stall(o, {0, 0, 2}));
  CHECK_FALSE(decays_at_stall(o, {0, 0, 3}));
  CHECK_FALSE(decays_at_epoch_end(o, {100, 0, 100}));
  o.decay_start = {0};
  CHECK_FALSE(decays_at_stall(o, {0, 0, 2}));
}

TEST_CASE("a warmup that has not begun has no negative rate", "[schedule]") {
  OptimizerOptions o;
  o.learning_rate = 1;
  o.warmup = {100, ScheduleUnit::updates};
  CHECK(learning_rate(o, after(10), 1, 5000) == 0);
}

TEST_CASE("the exponential average forgets its start", "[schedule]") {
  CHECK(average_rate(0, 5) == 0);
  CHECK(average_rate(1e-4, 0) == Approx(0.9));
  CHECK(average_rate(1e-4, 90) == Approx(1 - 91.0 / 100));
  CHECK(average_rate(1e-4, 1000000) == Approx(1e-4));
}
