// Every residual kind against logits that PyTorch computed from the papers' equations
// (test/fixtures/residual_kinds.py), and Admin's profiling.
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/training/admin_profile.h"
#include "core/base/files.h"
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/training_run.h"
#include "test_paths.h"

using namespace bough;

namespace {

ModelOptions fixture_options(ResidualKind kind) {
  ModelOptions o;
  o.vocab_sizes = {11, 13};
  o.model_dim = 8;
  o.heads = 2;
  o.ffn_dim = 12;
  o.encoder_layers = 2;
  o.decoder_layers = 3;
  o.activation = Activation::relu;
  o.residual = kind;
  o.branchnorm_schedule = BranchSchedule::linear;
  o.branchnorm_max_step = {100};
  o.branchnorm_progress = 25;
  o.resolve(true, false);
  return o;
}

/// The fixture's weights, by its formula.
void set_fixture_weights(const ParameterSet& set) {
  std::vector<double> arena(size_t(set.elements()), 0.0);
  for (const ParameterPart& part : set.parts()) {
    double h = 0;
    for (size_t p = 0; p < part.name.size(); ++p) h += double(p + 1) * double(part.name[p]);
    const bool is_scale =
        part.name.find("ln_scale") != std::string::npos || part.name.find("omega") != std::string::npos;
    const Shape file = part.file_shape();
    for (int64_t r = 0; r < file[0]; ++r)
      for (int64_t c = 0; c < file[1]; ++c) {
        const double value = is_scale + 0.4 * std::sin(0.37 * double(r * file[1] + c) + 0.01 * h);
        arena[size_t(part.first + (part.is_transposed ? c * file[0] + r : r * file[1] + c))] = value;
      }
  }
  set.backend().upload(set.values(), arena.data());
}

}  // namespace

TEST_CASE("every residual kind computes what PyTorch computes from its equation", "[residual]") {
  const auto fixture = nlohmann::json::parse(read_whole_file(BOUGH_SOURCE_DIR "/test/fixtures/residual_kinds.json"));
  const std::vector<std::vector<int32_t>> sources{{3, 5, 2, 9}, {4}}, targets{{6, 2, 7}, {3, 10}};
  const std::vector<SentencePair> pairs{{sources[0], targets[0], 0}, {sources[1], targets[1], 1}};
  const Batch batch = pack(pairs);
  const auto backend = make_cpu_backend(1, DType::f64);
  CHECK(fixture.size() == all_residual_kinds().size());
  for (ResidualKind kind : all_residual_kinds()) DYNAMIC_SECTION(name_of(kind)) {
      const Model model = random_model(fixture_options(kind), *backend);
      set_fixture_weights(*model.parameters);
      const auto found = forward_logits(model, batch);
      const auto& rows = fixture.at(name_of(kind));
      REQUIRE(rows.size() == 7);
      double worst = 0;
      for (size_t t = 0; t < rows.size(); ++t)
        for (size_t v = 0; v < 13; ++v) {
          const double error = std::abs(found[t * 128 + v] - rows[t][v].get<double>());
          if (!(error <= worst)) worst = error;
        }
      CHECK(worst <= 1e-9);
    }
}

TEST_CASE("initial weights of sub-ln and weights of dlcl are their papers'", "[residual]") {
  ModelOptions o = fixture_options(ResidualKind::sub_ln);
  CHECK(encoder_scales(o).init_gain == Approx(std::sqrt(std::log(9.0) * std::log(4.0) / 3)));
  CHECK(decoder_scales(o).init_gain == Approx(std::sqrt(std::log(9.0))));
  CHECK(decoder_scales(o).cross_init_gain == 1);
  CHECK(encoder_scales(o).residual_scale == 1);

  const auto backend = make_cpu_backend(1);
  ParameterSet parameters(*backend);
  const Transformer transformer(fixture_options(ResidualKind::dlcl), nullptr, parameters);
  parameters.allocate().initialize(1);
  const auto values = parameters.download(parameters.values());
  int weights = 0;
  for (const ParameterPart& part : parameters.parts()) {
    const size_t at = part.name.find("_dlcl_");
    if (at == std::string::npos || !std::isdigit(part.name[at + 6])) continue;
    ++weights;
    const int layers = part.name.starts_with("encoder") ? 2 : 3;
    const int layer = part.name.find("_top_") != std::string::npos ? layers + 1 : part.name[9] - '0';
    CHECK(values[size_t(part.first)] == Approx(1.0 / layer));
  }
  CHECK(weights == 1 + 2 + 3 + 1 + 2 + 3 + 4);
}

namespace {

/// Variance over the elements of what enters the encoder.
double embedding_variance(const ParameterSet& set, const std::vector<float>& values, const UpdateBatches& update,
                          int64_t width) {
  const auto table = std::find_if(set.parts().begin(), set.parts().end(), [](auto& p) { return p.name == "Wemb"; });
  const auto positions = sinusoidal_positions(20, width);
  double sum = 0, squares = 0, count = 0;
  for (const Batch& batch : update.micro)
    for (int64_t row = 0; row < batch.source.rows(); ++row)
      for (int64_t c = 0; c < width; ++c) {
        const double word = values[size_t(table->first + batch.source.ids[size_t(row)] * width + c)];
        const double x =
            word * std::sqrt(double(width)) + positions[size_t(batch.source.positions[size_t(row)] * width + c)];
        sum += x;
        squares += x * x;
        ++count;
      }
  return squares / count - sum / count * (sum / count);
}

}  // namespace

TEST_CASE("admin: omega follows the variances of the branches", "[residual]") {
  CHECK(admin_omegas(1.5, {0.5, 0.25, 7}) == std::vector<double>{1, std::sqrt(2.0), 1.5});

  const Sentences corpus(24);
  const UpdateBatches update = update_of(corpus, 2);
  const int64_t width = 32;
  Run run(small_model(ResidualKind::admin), all_dropouts(0.1), adam(0));
  const auto& set = run.model.parameters();
  std::vector<float> values = set.download(set.values());
  // A first branch whose variance is known: 3 and -1 in turn, whatever it reads.
  for (const ParameterPart& part : set.parts()) {
    float* const first = values.data() + part.first;
    if (part.name == "encoder_l1_self_Wo") std::fill_n(first, part.size(), 0.0f);
    if (part.name == "encoder_l1_self_bo")
      for (int64_t i = 0; i < width; ++i) first[i] = i % 2 == 0 ? 3.0f : -1.0f;
  }
  set.upload(set.values(), values);

  REQUIRE(needs_admin_profile(run.model));
  const auto omegas = profile_admin(run.model, update);
  CHECK_FALSE(needs_admin_profile(run.model));
  REQUIRE(omegas.size() == 10);
  CHECK(omegas[0] == 1);
  CHECK(omegas[1] == Approx(std::sqrt(embedding_variance(set, values, update, width) + 4)).epsilon(1e-5));
  CHECK(omegas[4] == 1);  // the decoder's first
  for (const size_t i : {2, 3, 6, 7, 8, 9}) CHECK(omegas[i] > omegas[i - 1]);

  values = set.download(set.values());
  const auto average = set.download(run.model.whole_best_parameters().tensor);
  int found = 0;
  for (const ParameterPart& part : set.parts())
    if (part.name.ends_with("_omega")) {
      const auto& names = run.model.transformer().residual_site_names();
      const size_t site =
          size_t(std::find(names.begin(), names.end(), part.name.substr(0, part.name.size() - 6)) - names.begin());
      CHECK(values[size_t(part.first + width - 1)] == float(omegas.at(site)));
      CHECK(average[size_t(part.first)] == float(omegas[site]));
      ++found;
    }
  CHECK(found == 8);
  Run other(small_model(ResidualKind::post_ln), all_dropouts(0), adam(0));
  CHECK_FALSE(needs_admin_profile(other.model));
}
