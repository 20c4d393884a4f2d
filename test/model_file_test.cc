#include "apps/inference/model_file.h"

#include <cmath>
#include <fstream>
#include <limits>

#include "apps/inference/model_average.h"
#include "core/base/files.h"
#include "core/base/half.h"
#include "core/base/npz.h"
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/model_arrays.h"
#include "test/scratch_folder.h"
#include "test/small_model.h"
#include "test/throws.h"

using namespace bough;

namespace {

Batch test_batch() {
  static const auto sources = random_sentences(4, 9, 60, 3), targets = random_sentences(4, 9, 60, 4);
  std::vector<SentencePair> pairs;
  for (size_t i = 0; i < sources.size(); ++i) pairs.push_back({sources[i], targets[i], int64_t(i)});
  return pack(pairs);
}

void write_as_half(const Arrays& file, const std::string& path) {
  std::vector<std::vector<uint16_t>> halves;
  std::vector<NpzArray> out;
  for (const auto& array : file.arrays) {
    auto& values = halves.emplace_back();
    for (float value : array.values) values.push_back(to_half(value));
  }
  for (size_t i = 0; i < halves.size(); ++i)
    out.push_back({file.arrays[i].name, file.arrays[i].shape, NpzType::f16, halves[i].data()});
  out.push_back(npz_array<char>(model_yaml_array, {file.yaml.data(), file.yaml.size()}));
  write_npz(path, out);
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= largest)) largest = std::abs(a[i] - b[i]);
  return largest;
}

}  // namespace

TEST_CASE("a model comes back from its file as it was", "[model file]") {
  const ScratchFolder folder;
  const auto backend = make_cpu_backend(1);
  for (ResidualKind kind : all_residual_kinds()) {
    ModelOptions options = small_options(kind);
    options.tied_embeddings_all = kind == ResidualKind::branchnorm;
    options.vocab_sizes = options.tied_embeddings_all ? std::vector<int>{60, 60} : std::vector<int>{61, 60};
    const Model model = random_model(options, *backend);
    const std::string path = folder / "model.npz";
    save_model(path, options, *model.parameters, model.parameters->values());
    const Model loaded = load_model(path, *backend);
    CHECK(loaded.options.to_yaml() == options.to_yaml());
    CHECK(loaded.parameters->download(loaded.parameters->values()) ==
          model.parameters->download(model.parameters->values()));
    // alpha_t is in force too.
    CHECK(forward_logits(loaded, test_batch()) == forward_logits(model, test_batch()));
  }
}

TEST_CASE("several threads read a model, and each of them notices damage", "[model file]") {
  const ScratchFolder folder;
  const auto one = make_cpu_backend(1), four = make_cpu_backend(4);
  const ModelOptions options = small_options(ResidualKind::post_ln);
  const Model model = random_model(options, *one);
  const std::string path = folder / "model.npz";
  save_model(path, options, *model.parameters, model.parameters->values());
  for (int i = 0; i < 20; ++i) {
    const Model loaded = load_model(path, *four);
    CHECK(loaded.parameters->download(loaded.parameters->values()) ==
          model.parameters->download(model.parameters->values()));
  }
  const std::string whole = read_whole_file(path);
  for (const char* name : {"encoder_l1_self_Wq", "decoder_l1_context_Wk", "decoder_l2_ffn_W2"}) {
    const std::vector<float> values = NpzReader(path).read_floats(name);
    std::string damaged = whole;
    const size_t at = whole.find(std::string(reinterpret_cast<const char*>(values.data()), 64));
    REQUIRE(at != whole.npos);
    damaged[at] = char(damaged[at] ^ 1);
    write_file(folder / "damaged.npz", damaged);
    CHECK_THAT(message_of([&] { load_model(folder / "damaged.npz", *four); }),
               Catch::Contains(name) && Catch::Contains("checksum"));
  }
}

TEST_CASE("model files have Marian's names and shapes", "[model file]") {
  const ScratchFolder folder;
  const auto backend = make_cpu_backend(1);
  ModelOptions options = small_options(ResidualKind::post_ln);
  options.tied_embeddings_all = false;
  const Model model = random_model(options, *backend);
  save_model(folder / "model.npz", options, *model.parameters, model.parameters->values());
  Arrays file = Arrays::of(folder / "model.npz");
  CHECK(file.find("encoder_Wemb").shape == std::vector<int64_t>{60, 32});
  CHECK(file.find("encoder_l2_ffn_W1").shape == std::vector<int64_t>{32, 48});
  CHECK(file.find("decoder_l3_context_bq").shape == std::vector<int64_t>{1, 32});
  CHECK(file.find("decoder_l1_self_Wo_ln_scale").shape == std::vector<int64_t>{1, 32});
  CHECK(file.find("decoder_ff_logit_out_b").shape == std::vector<int64_t>{1, 60});

  SECTION("old models hold the transpose of the output matrix") {
    auto& output = file.find("decoder_ff_logit_out_Wt");
    const auto rows = output.values;
    for (size_t v = 0; v < 60; ++v)
      for (size_t c = 0; c < 32; ++c) output.values[c * 60 + v] = rows[v * 32 + c];
    output.name = "decoder_ff_logit_out_W";
    output.shape = {32, 60};
    file.write(folder / "old.npz");
    const Model old = load_model(folder / "old.npz", *backend);
    CHECK(forward_logits(old, test_batch()) == forward_logits(model, test_batch()));
  }
  SECTION("arrays for int8 are of no use here, and an option of Marian's without its array is idle") {
    Arrays with = file;
    for (const char* name : {"encoder_l1_self_Wq_QuantMultA", "none_QuantMultA"})
      with.arrays.push_back({name, {1, 1}, {12.5F}});
    const std::string key = "transformer-train-position-embeddings: ";
    with.yaml.replace(with.yaml.find(key + "false"), key.size() + 5, key + "true");
    with.write(folder / "model.alphas.npz");
    const Model loaded = load_model(folder / "model.alphas.npz", *backend);
    CHECK(forward_logits(loaded, test_batch()) == forward_logits(model, test_batch()));
    average_models(folder / "mean.npz", {folder / "model.alphas.npz"}, false);
    CHECK(Arrays::of(folder / "mean.npz").arrays.size() == file.arrays.size());
  }
  SECTION("float16") {
    for (auto& array : file.arrays)
      for (float& value : array.values) value = std::nearbyint(value * 1024) / 1024;  // binary16 has them all
    file.write(folder / "wide.npz");
    write_as_half(file, folder / "half.npz");
    const Model wide = load_model(folder / "wide.npz", *backend), half = load_model(folder / "half.npz", *backend);
    CHECK(half.parameters->download(half.parameters->values()) == wide.parameters->download(wide.parameters->values()));
    average_models(folder / "mean.npz", {folder / "half.npz", folder / "half.npz"}, false);
    CHECK(Arrays::of(folder / "mean.npz").find("encoder_Wemb").values == file.find("encoder_Wemb").values);
    average_models(folder / "written.npz", {folder / "wide.npz"}, false, true);
    CHECK(NpzReader(folder / "written.npz").header("encoder_Wemb").type == NpzType::f16);
    const Model written = load_model(folder / "written.npz", *backend);
    CHECK(written.parameters->download(written.parameters->values()) ==
          wide.parameters->download(wide.parameters->values()));
    file.find("encoder_Wemb").values[5] = 70000;
    file.write(folder / "wide.npz");
    CHECK(
        message_of([&] { average_models(folder / "written.npz", {folder / "wide.npz"}, false, true); }) ==
        "float16: array encoder_Wemb has the number 70000, the largest that 16 bits hold is 65504. Leave float16 out");
  }
  SECTION("what is wrong with a file is said in a sentence") {
    const auto message = [&](const Arrays& arrays) {
      arrays.write(folder / "bad.npz");
      return message_of([&] { load_model(folder / "bad.npz", *backend); });
    };
    using Catch::Matchers::Contains;
    Arrays bad = file;
    bad.find("encoder_l1_self_Wq").name = "something_else";
    CHECK_THAT(message(bad), Contains("bad.npz': array encoder_l1_self_Wq is missing"));
    bad = file;
    bad.arrays.push_back({"encoder_emb_ln_scale_pre", {1, 32}, std::vector<float>(32)});
    CHECK_THAT(message(bad), Contains("array encoder_emb_ln_scale_pre has no place"));
    bad = file;
    bad.find("encoder_l1_ffn_W1").shape = {48, 32};
    CHECK_THAT(message(bad), Contains("array encoder_l1_ffn_W1 is (48, 32), must be (32, 48)"));
    bad = file;
    bad.yaml.clear();
    CHECK_THAT(message(bad), Contains("no special:model.yml"));
    bad = file;
    bad.yaml.replace(bad.yaml.find("type: transformer"), 17, "type: s2s\n#      ");
    CHECK_THAT(message(bad), Contains("s2s"));
  }
  SECTION("sizes that are not those of the arrays are said before memory is asked for") {
    using Catch::Matchers::Contains;
    const auto message = [&](const std::string& before, const std::string& after) {
      Arrays bad = file;
      const size_t at = bad.yaml.find(before);
      REQUIRE(at != std::string::npos);
      bad.yaml.replace(at, before.size(), after);
      bad.write(folder / "bad.npz");
      return message_of([&] { load_model(folder / "bad.npz", *backend); });
    };
    CHECK_THAT(message("enc-depth: ", "enc-depth: 100000000"), Contains("must be a whole number in [1, 2000]"));
    CHECK_THAT(message("enc-depth: ", "enc-depth: 150"), Contains("_l1000_ffn_W1 is missing"));
    CHECK_THAT(message("dim-emb: 32", "dim-emb: 262144"), Contains("(60, 32), must be (60, 262144) by its special"));
    CHECK_THAT(message("  - 60", "  - 2000000000"), Contains("must be (2000000000, 32) by its special:model.yml"));
    CHECK_THAT(message("version: ", "zz: &x [*x]\nversion: "), Contains("more than 64 levels"));
    CHECK(backend->persistent_bytes < (1 << 20));
  }
  SECTION("a run that has other sizes is not told that the file is damaged") {
    const NpzReader reader(folder / "model.npz");
    ModelOptions other = options;
    other.vocab_sizes = {60, 50};
    const Model wanted = random_model(other, *backend);
    const std::string expected = "must be (50, 32) by this run's vocabularies and options";
    for (const std::string& message :
         {message_of([&] { read_matching_parameters(reader, *wanted.parameters); }),
          message_of([&] { read_parameters(reader, *wanted.parameters, ShapesBy::run); })}) {
      INFO(message);
      CHECK(message.find(expected) != std::string::npos);
      CHECK(message.find("damaged") == std::string::npos);
      CHECK(message.find("special:model.yml") == std::string::npos);
    }
  }
  SECTION("truncated, foreign and missing files") {
    const std::string whole = read_whole_file(folder / "model.npz");
    write_file(folder / "cut.npz", whole.substr(0, whole.size() / 2));
    write_file(folder / "text.npz", "not a model\n");
    for (const char* name : {"cut.npz", "text.npz", "absent.npz"}) {
      const std::string message = message_of([&] { load_model(folder / name, *backend); });
      INFO(message);
      CHECK(message.find(name) != std::string::npos);
      CHECK(message.find('\n') == std::string::npos);
    }
  }
}

namespace {

/// Of a kind: with self-attention, and with recurrent decoders where it has them.
std::vector<ModelOptions> decoder_forms(ResidualKind kind) {
  std::vector<ModelOptions> forms{small_options(kind), recurrent(small_options(kind))};
  if (kind == ResidualKind::sub_ln) return forms;
  forms.push_back(forms.back());
  forms.back().rnn_projection = false;
  return forms;
}

}  // namespace

TEST_CASE("export folds residual scales into a plain post-ln model", "[model file]") {
  const ScratchFolder folder;
  const auto backend = make_cpu_backend(1, DType::f64);
  std::vector<ModelOptions> forms;
  for (ResidualKind kind : all_residual_kinds()) std::ranges::copy(decoder_forms(kind), std::back_inserter(forms));
  for (const ModelOptions& options : forms) {
    const ResidualKind kind = options.residual;
    const Model model = random_model(options, *backend);
    save_model(folder / "model.npz", options, *model.parameters, model.parameters->values());
    if (traits_of(kind).plain_form == PlainForm::none) {
      CHECK(message_of([&] {
              average_models(folder / "plain.npz", {folder / "model.npz"}, true);
            }).find("transformer-residual is " + name_of(kind) + ", which no plain") != std::string::npos);
      continue;
    }
    average_models(folder / "plain.npz", {folder / "model.npz"}, true);
    const Model plain = load_model(folder / "plain.npz", *backend);
    CHECK(plain.options.is_plain());
    CHECK(plain.options.postprocess == (traits_of(kind).norm == NormPlace::before_branch ? "da" : "dan"));
    CHECK(largest_difference(forward_logits(plain, test_batch()), forward_logits(model, test_batch())) <= 1e-5);
  }
}

TEST_CASE("alphas that follow the branches are saved, in force, and folded", "[model file]") {
  const ScratchFolder folder;
  const auto backend = make_cpu_backend(1, DType::f64);
  ModelOptions options = small_options(ResidualKind::branchnorm);
  options.branchnorm_schedule = BranchSchedule::bounded;
  for (int i = 0; i < options.residual_sites(); ++i) options.branchnorm_scales.push_back(1 / (1 + 0.1 * i));
  const Model model = random_model(options, *backend);
  save_model(folder / "model.npz", options, *model.parameters, model.parameters->values());
  const Model again = load_model(folder / "model.npz", *backend);
  CHECK(again.options.branchnorm_scales == options.branchnorm_scales);
  average_models(folder / "plain.npz", {folder / "model.npz"}, true);
  const Model plain = load_model(folder / "plain.npz", *backend);
  CHECK(plain.options.is_plain());
  CHECK(plain.options.branchnorm_scales.empty());
  CHECK(largest_difference(forward_logits(plain, test_batch()), forward_logits(again, test_batch())) <= 1e-5);
  options.branchnorm_scales.assign(options.branchnorm_scales.size(), 1.0);
  const Model others = random_model(options, *backend);
  CHECK(largest_difference(forward_logits(others, test_batch()), forward_logits(again, test_batch())) > 1e-3);
  options.branchnorm_scales.pop_back();
  CHECK(message_of([&] { options.validate(); }).find("branchnorm-scales has 12 values, must have 13") == 0);
}

TEST_CASE("checkpoints are averaged element by element", "[model file]") {
  const ScratchFolder folder;
  const auto backend = make_cpu_backend(1);
  const ModelOptions options = small_options(ResidualKind::branchnorm);
  std::vector<Arrays> inputs;
  std::vector<std::string> paths;
  for (uint64_t seed : {1, 2, 3}) {
    ModelOptions at = options;
    at.branchnorm_max_step = {int64_t(seed) * 10};
    at.branchnorm_progress = int64_t(seed) * 4;  // alpha 0.4 by different ways
    const Model model = random_model(at, *backend, seed);
    paths.push_back(folder / fmt::format("model{}.npz", seed));
    save_model(paths.back(), at, *model.parameters, model.parameters->values());
    inputs.push_back(Arrays::of(paths.back()));
  }
  average_models(folder / "mean.npz", paths, false);
  const Arrays mean = Arrays::of(folder / "mean.npz");
  REQUIRE(mean.arrays.size() == inputs[0].arrays.size());
  for (size_t a = 0; a < mean.arrays.size(); ++a)
    for (size_t i = 0; i < mean.arrays[a].values.size(); ++i)
      REQUIRE(mean.arrays[a].values[i] == Approx((double(inputs[0].arrays[a].values[i]) +
                                                  inputs[1].arrays[a].values[i] + inputs[2].arrays[a].values[i]) /
                                                 3)
                                              .epsilon(1e-6)
                                              .margin(1e-9));
  CHECK(load_model(folder / "mean.npz", *backend).options.branchnorm_progress == 12);

  Arrays damaged = inputs[2];
  const auto refusal = [&] {
    damaged.write(folder / "damaged.npz");
    return message_of([&] {
      average_models(folder / "x.npz", {folder / "damaged.npz", folder / "damaged.npz"}, false);
    });
  };
  damaged.find("encoder_l1_self_Wq").values[5] = std::nanf("");
  CHECK(refusal() == "'" + folder / "damaged.npz" +
                         "': array encoder_l1_self_Wq holds what is not finite: the model has diverged in training. "
                         "Leave it out");
  damaged.arrays.push_back({"decoder_l9_ffn_W1", {1, 1}, {1}});
  CHECK(refusal().find("array decoder_l9_ffn_W1 has no place in the Transformer") != std::string::npos);
  damaged.arrays.pop_back();
  damaged.find("encoder_l1_self_Wq").name = "encoder_l1_self_Wk2";
  CHECK(refusal().find("array encoder_l1_self_Wq is missing") != std::string::npos);

  ModelOptions other = options;
  other.ffn_dim = 40;
  const Model model = random_model(other, *backend);
  save_model(folder / "other.npz", other, *model.parameters, model.parameters->values());
  CHECK(message_of([&] {
          average_models(folder / "x.npz", {paths[0], folder / "other.npz"}, false);
        }).find("other.npz': transformer-dim-ffn is 40, must be 48 as in '" + paths[0]) != std::string::npos);
  for (const auto& [change, words] :
       {std::pair<void (*)(ModelOptions&), const char*>{[](ModelOptions& o) { o.heads = 2; },
                                                        "transformer-heads is 2, must be 4 as in"},
        {[](ModelOptions& o) { o.residual = ResidualKind::deepnorm; },
         "transformer-residual is deepnorm, must be branchnorm as in"}}) {
    ModelOptions changed = options;
    change(changed);
    save_model(folder / "other.npz", changed, *random_model(changed, *backend).parameters,
               random_model(changed, *backend).parameters->values());
    const std::string message = message_of([&] {
      average_models(folder / "x.npz", {paths[0], folder / "other.npz"}, false);
    });
    INFO(message);
    CHECK(message.find(words) != std::string::npos);
  }
}

TEST_CASE("checkpoints of different alphas are folded before they are averaged", "[model file]") {
  const ScratchFolder folder;
  const auto backend = make_cpu_backend(1, DType::f64);
  // The same branches, alpha F(x) in all: the mean computes what each of them does.
  ModelOptions at = small_options(ResidualKind::branchnorm);
  at.branchnorm_schedule = BranchSchedule::by_layer;
  at.branchnorm_max_step = {100};
  std::vector<std::string> paths;
  std::vector<double> expected;
  for (const int64_t progress : {25, 50, 100}) {
    at.branchnorm_progress = progress;
    paths.push_back(folder / fmt::format("at{}.npz", progress));
    const Model model = random_model(at, *backend);
    save_model(paths.back(), at, *model.parameters, model.parameters->values());
    average_models(folder / "folded.npz", {paths.back()}, true);
    const Arrays folded = Arrays::of(folder / "folded.npz");
    std::vector<double> values;
    for (const auto& array : folded.arrays) values.insert(values.end(), array.values.begin(), array.values.end());
    expected.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) expected[i] += values[i] / 3;
  }
  for (const bool fold : {false, true}) {
    average_models(folder / "mean.npz", paths, fold);
    CHECK(load_model(folder / "mean.npz", *backend).options.residual == ResidualKind::post_ln);
    std::vector<double> values;
    for (const auto& array : Arrays::of(folder / "mean.npz").arrays)
      values.insert(values.end(), array.values.begin(), array.values.end());
    CHECK(largest_difference(values, expected) < 1e-6);
  }
}

TEST_CASE("a loaded model has alpha at the sites of its transformer", "[model file]") {
  const ScratchFolder folder;
  const auto backend = make_cpu_backend(1);
  ModelOptions options = small_options(ResidualKind::branchnorm);
  options.branchnorm_schedule = BranchSchedule::by_layer;
  const Model model = random_model(options, *backend);
  save_model(folder / "model.npz", options, *model.parameters, model.parameters->values());
  const std::vector<double> scales = saved_branch_scales(read_model_options(NpzReader(folder / "model.npz")));
  CHECK(scales == branch_scales(options, model.transformer->residual_site_layers(), options.branchnorm_progress));
  CHECK(scales[0] > scales[2]);
}

TEST_CASE("numbers of 16 bits are the nearest, half to even", "[model]") {
  for (uint32_t h = 0; h < 0x7C00; ++h) {  // all that are finite, and what lies between two
    const float x = from_half(uint16_t(h)), next = h + 1 < 0x7C00 ? from_half(uint16_t(h + 1)) : 65536.0f;
    const float middle = (x + next) / 2;
    REQUIRE(to_half(x) == h);
    REQUIRE(to_half(-x) == (h | 0x8000));
    REQUIRE(to_half(middle) == h + h % 2);
    REQUIRE(to_half(std::nextafter(middle, 0.0f)) == h);
    REQUIRE(to_half(std::nextafter(middle, next)) == h + 1);
  }
  CHECK(to_half(1e30f) == 0x7C00);
  CHECK(to_half(-std::numeric_limits<float>::infinity()) == 0xFC00);
  CHECK(std::isnan(from_half(to_half(std::numeric_limits<float>::quiet_NaN()))));
}
