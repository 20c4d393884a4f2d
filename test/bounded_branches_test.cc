// branchnorm-schedule bounded: alphas that follow the branches, and the judge of deep models.
#include <cmath>

#include "apps/training/depth_watch.h"
#include "cuda/factory.h"
#include "test/catch.h"
#include "test/throws.h"
#include "test/training_run.h"

using namespace bough;

namespace {

using Values = std::vector<double>;

ModelOptions bounded_model() {
  ModelOptions o = small_model(ResidualKind::branchnorm);
  o.encoder_layers = o.decoder_layers = 3;
  o.branchnorm_bound = {0.2, 0.9};
  return o;
}

/// Alphas after some updates of three micro-batches each.
Values trained_scales(std::unique_ptr<Backend> backend, int recomputed_layers, int updates = 40) {
  const Sentences corpus(12);
  TrainingModel model(*backend, bounded_model(), all_dropouts(0.1), adam(0), 5);
  model.initialize();
  model.set_recompute(recomputed_layers);
  TrainingClock clock;
  const UpdateBatches update = update_of(corpus, 3);
  for (int u = 0; u < updates; ++u) {
    UpdateSettings settings;
    settings.done = clock;
    settings.learning_rate = 3e-3;
    model.update(update, settings);
    clock.finish_update(update.target_tokens);
  }
  return model.site_branch_scales();
}

double largest_relative_difference(const Values& a, const Values& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]) / b[i]);
  return largest;
}

}  // namespace

TEST_CASE("alphas begin at DeepNorm's scale and follow the branches from there", "[bounded]") {
  const ModelOptions o = bounded_model();
  const std::vector<BranchLimits> limits = branch_limits(o);
  REQUIRE(int(limits.size()) == o.residual_sites());
  CHECK(limits.front().smallest == Approx(1 / (0.81 * std::pow(243, 1.0 / 16))));
  CHECK(limits.back().smallest == Approx(1 / std::pow(9, 0.25)));
  CHECK(limits.front().first_bound == 0.2);
  CHECK(limits.front().last_bound == 0.9);
  ModelOptions by_depth = o;
  by_depth.branchnorm_bound.clear();
  CHECK(branch_limits(by_depth).front().last_bound == Approx(std::sqrt(2.0 / 6)));
  CHECK(branch_limits(by_depth).back().first_bound == Approx(std::sqrt(2.0 / 9)));
  by_depth.encoder_layers = by_depth.decoder_layers = 1;
  CHECK(branch_limits(by_depth).front().smallest == 1);  // a is below 1 there
  by_depth.decoder_layers = 50;
  CHECK(branch_limits(by_depth).back().first_bound == Approx(std::sqrt(2.0 / 150) / 10));

  const Values start = trained_scales(make_cpu_backend(1), 0, 0), later = trained_scales(make_cpu_backend(1), 0);
  bool is_anywhere_larger = false, is_anywhere_at_the_floor = false;
  for (size_t i = 0; i < later.size(); ++i) {
    CHECK(start[i] == double(float(limits[i].smallest)));
    CHECK(later[i] >= start[i]);
    CHECK(later[i] <= 1);
    is_anywhere_larger = is_anywhere_larger || later[i] > 1.01 * start[i];
    is_anywhere_at_the_floor = is_anywhere_at_the_floor || later[i] == start[i];
  }
  CHECK(is_anywhere_larger);
  CHECK(is_anywhere_at_the_floor);
}

TEST_CASE("alphas have the same bits with recomputation and for any number of threads", "[bounded]") {
  const Values alphas = trained_scales(make_cpu_backend(1), 0);
  CHECK(trained_scales(make_cpu_backend(1), 6) == alphas);
  CHECK(largest_relative_difference(trained_scales(make_cpu_backend(2), 0), alphas) <= 1e-3);
}

TEST_CASE("alphas of a GPU are the CPU's", "[bounded][cuda]") {
  if (cuda_device_count() == 0) return;
  const Values alphas = trained_scales(make_cpu_backend(1), 0, 12);
  CHECK(largest_relative_difference(trained_scales(make_cuda_backend({.compute_dtype = DType::f32}), 0, 12), alphas) <=
        1e-3);
}

TEST_CASE("bounds that cannot be met are one sentence", "[bounded]") {
  ModelOptions o = bounded_model();
  const auto message = [&] { return message_of([&] { o.validate(); }); };
  o.branchnorm_bound = {0};
  CHECK(message() == "branchnorm-bound is 0, must be above 0 and at most 1");
  o.branchnorm_bound = {0.1, 0.2, 0.3};
  CHECK(message() == "branchnorm-bound has 3 values, must have 1 or 2: at the start, and from T on");
  o.branchnorm_bound = {0.1};
  o.residual = ResidualKind::deepnorm;
  CHECK(message().starts_with("branchnorm-bound is given, but nothing follows it"));
  o.residual = ResidualKind::branchnorm;
  o.branchnorm_residual = BranchResidual::deepnorm;
  CHECK(message().starts_with("branchnorm-residual-scale is deepnorm, but branchnorm-schedule bounded"));
}

TEST_CASE("a stack whose lowest layers starve is named, with the layer", "[bounded]") {
  ModelOptions o;
  o.encoder_layers = 3;
  o.decoder_layers = 2;
  o.residual = ResidualKind::post_ln;
  const std::vector<std::string> layers = {"embeddings", "encoder_l1", "encoder_l2",
                                           "encoder_l3", "decoder_l1", "decoder_l2"};
  const Values healthy(6, 1.0), small(12, 0.1);
  CHECK(depth_warnings(o, layers, healthy, small).empty());
  CHECK(depth_warnings(o, layers, {1, 1e-4, 1, 1, 1, 1}, small) ==
        std::vector<std::string>{"encoder: the gradient of layer 1 is 1.0e-04 of layer 3's, must be above 0.001; use "
                                 "transformer-residual branchnorm, or a lower learn-rate"});
  Values large = small;
  large[2] = large[3] = 40;  // of the encoder's second layer: 1/1600 of the gradient passes it
  const auto found = depth_warnings(o, layers, healthy, large);
  REQUIRE(found.size() == 1);
  CHECK(
      found[0].starts_with("encoder: branches are so large beside their residuals that layers 1 to 2 get below 0.001"));
  o.residual = ResidualKind::pre_ln;  // whose gradient passes sublayers as it is
  CHECK(depth_warnings(o, layers, healthy, large).empty());
}
