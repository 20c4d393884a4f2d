// log-layer-norms: every number against one taken from downloaded arenas, and training's bits left alone.
#include "apps/training/layer_norms.h"

#include <cmath>

#include "layers/parameter_names.h"
#include "test/catch.h"
#include "test/training_run.h"

using namespace bough;

namespace {

/// |part of an arena| of the parameters whose names begin with `prefix`, times a factor.
double norm_of(const ParameterSet& set, const std::vector<float>& arena, const std::string& prefix) {
  double sum = 0;
  for (const auto& part : set.parts())
    if (part.name.starts_with(prefix))
      for (int64_t i = 0; i < part.size(); ++i) sum += std::pow(double(arena[size_t(part.first + i)]), 2);
  return std::sqrt(sum);
}

size_t index_of(const std::vector<std::string>& names, const std::string& name) {
  return size_t(std::find(names.begin(), names.end(), name) - names.begin());
}

/// What the decoder's layers return for a batch, dropout off.
std::vector<double> decoder_output(TrainingModel& model, const Batch& host) {
  model.transformer().set_training(false);
  Tape tape(model.backend(), false);
  const ModelBatch batch = upload_batch(model.backend(), host);
  const Var memory = model.transformer().encode(tape, batch.source);
  return values_of(model.backend(), model.transformer().decode_layers(memory, batch).value());
}

}  // namespace

TEST_CASE("every parameter belongs to a layer", "[layer norms]") {
  CHECK(parameter_names::group_of("Wemb") == "embeddings");
  CHECK(parameter_names::group_of("Wpos") == "embeddings");
  CHECK(parameter_names::group_of("encoder_Wemb") == "embeddings");
  CHECK(parameter_names::group_of("decoder_ff_logit_out_b") == "output");
  CHECK(parameter_names::group_of("encoder_l12_self_Wo_ln_scale") == "encoder_l12");
  CHECK(parameter_names::group_of("decoder_l1_context_bq") == "decoder_l1");
  CHECK(parameter_names::group_of("encoder_top_ln_bias") == "encoder_top");

  ModelOptions options = small_model(ResidualKind::pre_ln);
  options.encoder_layers = 11;
  Run run(options, all_dropouts(0), adam(0));
  const auto& layers = run.model.layers();
  REQUIRE(layers.size() == 1 + 11 + 1 + 2 + 1 + 1);
  CHECK(layers[0] == "embeddings");
  CHECK(layers[2] == "encoder_l2");
  CHECK(layers[11] == "encoder_l11");
  CHECK(layers[12] == "encoder_top");
  CHECK(layers[13] == "decoder_l1");
  CHECK(layers.back() == "output");
}

TEST_CASE("layer norms are those of the arenas", "[layer norms]") {
  const Sentences corpus(24);
  for (ResidualKind kind : all_residual_kinds()) DYNAMIC_SECTION(name_of(kind)) {
      const UpdateBatches update = update_of(corpus, 3);
      Run run(small_model(kind), all_dropouts(0.1), adam(0));
      run.model.enable_layer_norms(true);
      const auto before = run.parameters();
      const UpdateResult result = run.train(update, 1e-2, true);
      REQUIRE(result.layers);
      const LayerReport& report = *result.layers;
      const auto& set = run.model.parameters();
      const auto gradients = set.download(set.gradients());
      auto change = run.parameters();
      for (size_t i = 0; i < change.size(); ++i) change[i] -= before[i];
      const auto& layers = run.model.layers();
      double total = 0;
      for (size_t i = 0; i < layers.size(); ++i) {
        total += std::pow(report.gradient_norms[i], 2);
        if (!layers[i].ends_with("_l2") && !layers[i].ends_with("_l1")) continue;
        INFO(layers[i]);
        CHECK(report.gradient_norms[i] ==
              Approx(norm_of(set, gradients, layers[i] + "_") / double(update.target_tokens)).epsilon(1e-6));
        CHECK(report.update_norms[i] == Approx(norm_of(set, change, layers[i] + "_")).epsilon(1e-6));
      }
      const double embeddings = report.update_norms[index_of(layers, "embeddings")];
      CHECK(embeddings == Approx(norm_of(set, change, "Wemb")).epsilon(1e-6));
      CHECK(std::sqrt(total) == Approx(result.statistics.gradient_norm).epsilon(1e-6));
      CHECK(report.branch_ratios.size() == run.model.transformer().residual_site_names().size());
      for (double ratio : report.branch_ratios) CHECK(std::isfinite(ratio));
      CHECK(*report.model_update > 0);
      CHECK_FALSE(run.train(update, 1e-2).layers);
    }
}

TEST_CASE("the model update is how far the decoder's output moved", "[layer norms]") {
  const Sentences corpus(12);
  const UpdateBatches update = update_of(corpus, 2);
  Run run(small_model(ResidualKind::branchnorm), all_dropouts(0), adam(0));
  run.model.enable_layer_norms(true);
  run.train(update, 1e-3);
  TrainingClock next = run.clock;
  next.finish_update(update.target_tokens);
  run.model.set_update_state(next, 0, 0, 1);  // alpha of the update that is measured
  const auto before = decoder_output(run.model, update.micro.front());
  const LayerReport report = *run.train(update, 1e-3, true).layers;
  const auto after = decoder_output(run.model, update.micro.front());
  double squares = 0;
  for (size_t i = 0; i < before.size(); ++i) squares += std::pow(after[i] - before[i], 2);
  CHECK(*report.model_update == Approx(std::sqrt(squares / update.micro.front().target.rows())).epsilon(1e-4));
}

TEST_CASE("branch ratios follow alpha, and recomputation does not count twice", "[layer norms]") {
  const Sentences corpus(12);
  const UpdateBatches update = update_of(corpus, 2);
  const auto ratios = [&](int64_t done, int recomputed_layers) {
    ModelOptions options = small_model(ResidualKind::branchnorm);
    options.branchnorm_schedule = BranchSchedule::linear;
    Run run(options, all_dropouts(0), adam(0));
    run.model.enable_layer_norms(false);
    run.model.set_recompute(recomputed_layers);
    run.clock.updates = done;
    return run.train(update, 0, true).layers->branch_ratios;
  };
  const auto first = ratios(0, 0), second = ratios(1, 0);
  CHECK(second[0] == Approx(2 * first[0]));  // the embedding is the same: alpha_2 = 2 alpha_1
  CHECK(first[0] < 0.1);
  CHECK(ratios(0, 3) == first);
  CHECK(ratios(0, 4) == first);
  CHECK(ratios(99, 0)[0] == Approx(100 * first[0]));
}

TEST_CASE("measuring leaves the bits of training alone", "[layer norms]") {
  const Sentences corpus(24);
  for (ResidualKind kind : all_residual_kinds())
    for (const int recomputed_layers : {0, 3, 4}) DYNAMIC_SECTION(name_of(kind) << " recompute " << recomputed_layers) {
        const UpdateBatches update = update_of(corpus, 2);
        const auto train = [&](bool measures) {
          Run run(small_model(kind), all_dropouts(0.1), adam(0));
          run.model.set_recompute(recomputed_layers);
          if (measures) run.model.enable_layer_norms(true);
          for (int u = 0; u < 4; ++u) run.train(update, 1e-3, measures && u % 2 == 0);
          return std::pair(run.parameters(), run.losses);
        };
        CHECK(train(true) == train(false));
      }
}

TEST_CASE("an update that is skipped moves no layer and names its numbers", "[layer norms]") {
  const Sentences corpus(8);
  const UpdateBatches update = update_of(corpus, 1);
  Run run(small_model(ResidualKind::post_ln), all_dropouts(0), adam(0));
  run.model.enable_layer_norms(true);
  auto& set = run.model.parameters();
  auto broken = run.parameters();
  for (const auto& part : set.parts())
    if (part.name == "decoder_l2_ffn_b2") broken[size_t(part.first)] = INFINITY;
  set.upload(set.values(), broken);
  const LayerReport report = *run.train(update, 1e-3, true).layers;
  CHECK_FALSE(std::isfinite(report.gradient_norms[index_of(run.model.layers(), "decoder_l2")]));
  for (const double norm : report.update_norms) CHECK((norm == 0 || std::isnan(norm)));
}
