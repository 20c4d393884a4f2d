// TrainingModel: gradients, accumulation, recomputation and reproducibility of whole updates.
#include "apps/training/training_model.h"

#include <cmath>
#include <vector>

#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/throws.h"
#include "test/training_run.h"

using namespace bough;

TEST_CASE("twenty sentences are learnt by heart by every residual kind", "[training]") {
  const Sentences corpus(20);
  for (ResidualKind kind : all_residual_kinds()) {
    DYNAMIC_SECTION(name_of(kind)) {
      DropoutOptions dropout;  // none, and no smoothing: the loss can reach 0
      ModelOptions options = small_model(kind);
      options.branchnorm_max_step = {50, ScheduleUnit::updates};
      Run run(options, dropout, adam(0));
      const UpdateBatches update = update_of(corpus, 1);
      for (int u = 0; u < 300; ++u) run.train(update, 3e-3 * std::min(1.0, (u + 1) / 50.0));
      CHECK(run.losses.back() < 0.05);
      CHECK(run.losses.front() > 3);
    }
  }
}

TEST_CASE("four micro-batches are one batch of four, dropout on", "[training]") {
  const Sentences corpus(24);
  for (ResidualKind kind : all_residual_kinds()) {
    DYNAMIC_SECTION(name_of(kind)) {
      const UpdateBatches parts = update_of(corpus, 4), whole = as_one_batch(parts);
      const auto gradients = [&](const UpdateBatches& update) {
        Run run(small_model(kind), all_dropouts(0.2), adam(0), 2, DType::f64);
        run.perturb();
        run.train(update, 0);
        run.train(update, 1e-3);
        auto& set = run.model.parameters();
        return std::pair(set.download(set.gradients()), run.losses.back());
      };
      const auto [a, loss_a] = gradients(parts);
      const auto [b, loss_b] = gradients(whole);
      CHECK(std::abs(loss_a - loss_b) <= 1e-5 * loss_a);
      double difference = 0, size = 0;
      for (size_t i = 0; i < a.size(); ++i) {
        difference += std::pow(double(a[i]) - b[i], 2);
        size += std::pow(double(a[i]), 2);
      }
      CHECK(size > 0);
      CHECK(std::sqrt(difference) <= 1e-5 * std::sqrt(size));
    }
  }
}

TEST_CASE("two runs, and runs that recompute activations, give the same bits", "[training]") {
  const Sentences corpus(24);
  for (ResidualKind kind : all_residual_kinds()) {
    DYNAMIC_SECTION(name_of(kind)) {
      const UpdateBatches update = update_of(corpus, 2);
      const auto train = [&](int recomputed_layers) {
        Run run(small_model(kind), all_dropouts(0.1), adam(0));
        run.perturb();
        run.model.set_recompute(recomputed_layers);
        for (int u = 0; u < 5; ++u) run.train(update, 1e-3);
        return run.parameters();
      };
      const auto first = train(0);
      CHECK(first == train(0));
      for (const int layers : {1, 2, 3, 4}) CHECK(first == train(layers));
    }
  }
}

TEST_CASE("recomputation needs less memory", "[training]") {
  const Sentences corpus(200);
  const UpdateBatches update = update_of(corpus, 1);
  ModelOptions options = small_model(ResidualKind::branchnorm);
  options.encoder_layers = options.decoder_layers = 8;
  struct Cost {
    size_t peak;
    double flops;
  };
  const auto cost = [&](int layers) {
    const auto backend = make_null_backend();
    TrainingModel model(*backend, options, all_dropouts(0.1), adam(0), 1);
    model.set_recompute(layers);
    model.accumulate_gradients(update.micro.front(), true);
    return Cost{backend->allocator().peak(), backend->flops};
  };
  CHECK(cost(16).peak * 2 < cost(0).peak);
  for (int layers = 1; layers <= 16; ++layers) {
    INFO(layers);
    CHECK(cost(layers).flops > cost(layers - 1).flops);
    if (layers < 16) CHECK(cost(layers).peak < cost(layers - 1).peak);  // the last one's are there when it runs again
  }
  Run run(small_model(ResidualKind::post_ln), {}, adam(0));
  CHECK(message_of([&] { run.model.set_recompute(5); }) ==
        "transformer: 5 layers to recompute, must be from 0 to 4, its layers");
  CHECK_FALSE(message_of([&] { run.model.set_recompute(-1); }).empty());
}

TEST_CASE("the memory planned for every residual kind is what it takes", "[training]") {
  const Sentences corpus(40);
  const UpdateBatches update = update_of(corpus, 1);
  for (ResidualKind kind : all_residual_kinds())
    for (const int recomputed_layers : {0, 1, 3, 4})
      DYNAMIC_SECTION(name_of(kind) << " recompute " << recomputed_layers) {
        const auto peak = [&](Backend& backend) {
          TrainingModel model(backend, small_model(kind), all_dropouts(0.1), adam(0), 1);
          if (!backend.is_null()) model.initialize();
          model.set_recompute(recomputed_layers);
          model.set_update_state({}, 0, 0, 1);
          model.parameters().begin_update();
          model.accumulate_gradients(update.micro.front(), true);
          return backend.allocator().peak();
        };
        CHECK(peak(*make_null_backend()) == peak(*make_cpu_backend(2)));
      }
}

TEST_CASE("the whole model's gradient is the derivative of its loss", "[training]") {
  const Sentences corpus(6);
  for (ResidualKind kind : all_residual_kinds()) {
    DYNAMIC_SECTION(name_of(kind)) {
      const UpdateBatches update = update_of(corpus, 1);
      ModelOptions options = small_model(kind);
      options.activation = Activation::gelu;                 // no kinks
      options.branchnorm_schedule = BranchSchedule::linear;  // alphas that follow the branches would move
      Run run(options, all_dropouts(0.1), adam(0), 2, DType::f64);
      run.perturb();
      run.train(update, 0);
      auto& set = run.model.parameters();
      const Tensor& values = set.values();
      // A copy: every loss below writes gradients anew, at a point that is off by h.
      const auto* const now = set.gradients().data<double>();
      const std::vector<double> gradient(now, now + set.elements());
      RandomStream random(3);
      for (const auto& part : set.parts()) {
        const int64_t i = part.first + int64_t(random.below(uint64_t(part.size())));
        double& x = values.data<double>()[i];
        const double x0 = x, h = 1e-5, analytic = gradient[size_t(i)];
        const auto loss_at = [&](double value) {
          x = value;
          run.clock.updates = 0;  // the same update: the same dropout masks
          return run.model.update(update, {run.clock, 0, 0}).loss;
        };
        const double numeric = (loss_at(x0 + h) - loss_at(x0 - h)) / (2 * h);
        x = x0;
        INFO(part.name << " element " << i << " numeric " << numeric << " analytic " << analytic);
        CHECK(std::abs(numeric - analytic) <= 1e-6 * (1 + std::abs(analytic)));
      }
    }
  }
}

TEST_CASE("a gradient that is not finite skips the update", "[training]") {
  const Sentences corpus(8);
  const UpdateBatches update = update_of(corpus, 1);
  Run run(small_model(ResidualKind::post_ln), all_dropouts(0), adam(0));
  run.train(update, 1e-3);
  auto& set = run.model.parameters();
  auto broken = run.parameters();
  broken[size_t(set.parts().front().first)] = INFINITY;
  set.upload(set.values(), broken);
  const UpdateResult result = run.train(update, 1e-3);
  CHECK_FALSE(result.statistics.is_finite);
  CHECK(run.parameters() == broken);
}

TEST_CASE("alpha_t: closed forms of every schedule", "[training]") {
  ModelOptions o = small_model(ResidualKind::branchnorm);
  o.branchnorm_max_step = {100, ScheduleUnit::updates};
  const std::vector<int> layers = {1, 1, 2, 2};
  const auto at = [&](BranchSchedule schedule, int64_t t) {
    o.branchnorm_schedule = schedule;
    return branch_scales(o, layers, t);
  };
  using Values = std::vector<double>;
  CHECK(at(BranchSchedule::linear, 25) == Values{0.25, 0.25, 0.25, 0.25});
  CHECK(at(BranchSchedule::linear, 1000) == Values{1, 1, 1, 1});
  CHECK(at(BranchSchedule::sqrt, 25) == Values{0.5, 0.5, 0.5, 0.5});
  CHECK(at(BranchSchedule::by_layer, 50) == Values{0.5, 0.5, 0.25, 0.25});
  CHECK(at(BranchSchedule::by_layer, 150) == Values{1, 1, 0.75, 0.75});
  CHECK(at(BranchSchedule::square, 50) == Values{0.25, 0.25, 0.0625, 0.0625});
  CHECK(at(BranchSchedule::cosine, 50)[0] == Approx(0.5));
  CHECK(at(BranchSchedule::cosine, 100)[0] == Approx(1));
  o.residual = ResidualKind::post_ln;
  CHECK(at(BranchSchedule::linear, 1) == Values{1, 1, 1, 1});
}

TEST_CASE("DeepNorm's constants are the paper's", "[training]") {
  ModelOptions o;
  o.residual = ResidualKind::deepnorm;
  const auto check = [&](int n, int m, double ea, double eb, double da, double db) {
    o.encoder_layers = n;
    o.decoder_layers = m;
    CHECK(encoder_scales(o).residual_scale == Approx(ea).epsilon(2e-4));
    CHECK(encoder_scales(o).init_gain == Approx(eb).epsilon(3e-4));
    CHECK(decoder_scales(o).residual_scale == Approx(da).epsilon(2e-4));
    CHECK(decoder_scales(o).init_gain == Approx(db).epsilon(3e-4));
  };
  check(6, 6, 1.4179, 0.4970, 2.0598, 0.3433);
  check(18, 18, 1.9987, 0.3526, 2.7108, 0.2608);
  check(60, 12, 2.6331, 0.2676, 2.4495, 0.2887);
  check(500, 500, 5.6482, 0.1248, 6.2233, 0.1136);
}
