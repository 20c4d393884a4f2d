#include "layers/model_options.h"

#include "core/base/error.h"
#include "test/catch.h"

using namespace bough;

namespace {

ModelOptions branchnorm(int64_t progress) {
  ModelOptions o;
  o.vocab_sizes = {1000, 1200};
  o.encoder_layers = 8;
  o.decoder_layers = 4;
  o.residual = ResidualKind::branchnorm;
  o.branchnorm_schedule = BranchSchedule::linear;
  o.branchnorm_max_step = {2'000'000, ScheduleUnit::labels};
  o.branchnorm_progress = progress;
  o.resolve(true, false);
  return o;
}

std::string error_of(const Yaml& saved) {
  try {
    ModelOptions::from_yaml(saved, "m.npz");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// What Marian saves for a Transformer of its own.
const char* marian_model =
    "bert-train-type-embeddings: true\nbert-type-vocab-size: 2\ndec-cell: gru\n"
    "dec-cell-base-depth: 2\ndec-cell-high-depth: 1\ndec-depth: 6\ndim-emb: 512\ndim-rnn: 1024\n"
    "dim-vocabs:\n  - 32000\n  - 32000\nenc-cell: gru\nenc-cell-depth: 1\nenc-depth: 6\n"
    "enc-type: bidirectional\nfactors-combine: sum\nfactors-dim-emb: 0\ninput-types:\n  []\n"
    "layer-normalization: false\nlemma-dependency: \"\"\nlemma-dim-emb: 0\noutput-omit-bias: "
    "false\n"
    "right-left: false\nskip: false\ntied-embeddings: false\ntied-embeddings-all: true\n"
    "tied-embeddings-src: false\ntransformer-aan-activation: swish\ntransformer-aan-depth: 2\n"
    "transformer-aan-nogate: false\ntransformer-decoder-autoreg: self-attention\n"
    "transformer-dim-aan: 2048\ntransformer-dim-ffn: 2048\ntransformer-ffn-activation: relu\n"
    "transformer-ffn-depth: 2\ntransformer-guided-alignment-layer: last\ntransformer-heads: 8\n"
    "transformer-no-projection: false\ntransformer-pool: false\ntransformer-postprocess: da\n"
    "transformer-postprocess-emb: d\ntransformer-postprocess-top: n\ntransformer-preprocess: n\n"
    "transformer-tied-layers:\n  []\ntransformer-train-position-embeddings: false\n"
    "type: transformer\nulr: false\nulr-dim-emb: 0\nulr-trainable-transformation: false\n"
    "version: v1.12.0\nspecial-vocab: []\n";

}  // namespace

TEST_CASE("special:model.yml reads back as the same model", "[settings]") {
  const ModelOptions o = branchnorm(1'000'000);
  const Yaml saved = parse_yaml(format_yaml(o.to_yaml()), "special:model.yml");
  const ModelOptions again = ModelOptions::from_yaml(saved, "m.npz");
  CHECK(again.to_yaml() == o.to_yaml());
  CHECK(again.residual == ResidualKind::branchnorm);
  CHECK(again.branchnorm_max_step == o.branchnorm_max_step);
  CHECK(again.branchnorm_progress == 1'000'000);
  CHECK(again.vocab_sizes == std::vector<int>{1000, 1200});
}

TEST_CASE("options that say the same in other words change no arithmetic", "[settings]") {
  const ModelOptions saved = branchnorm(0);
  ModelOptions now = saved;
  now.decoder_ffn_dim = saved.ffn_dim;
  CHECK_FALSE(now.change_of_arithmetic(saved));
  CHECK_FALSE(saved.change_of_arithmetic(now));
  now.decoder_ffn_dim = saved.ffn_dim + 8;
  const auto change = now.change_of_arithmetic(saved);
  REQUIRE(change);
  CHECK(change->name == "transformer-decoder-dim-ffn");
  CHECK(change->before == std::to_string(saved.ffn_dim));
}

TEST_CASE("a model with scales is refused by other loaders, one without is not", "[settings]") {
  auto postprocess = [](const ModelOptions& o) { return o.to_yaml().find("transformer-postprocess")->text; };
  CHECK(postprocess(branchnorm(1'999'999)) == "dsan");
  CHECK(postprocess(branchnorm(2'000'000)) == "dan");
  ModelOptions by_layer = branchnorm(2'000'000);
  by_layer.branchnorm_schedule = BranchSchedule::by_layer;
  CHECK(postprocess(by_layer) == "dsan");
  by_layer.branchnorm_progress = 16'000'000;
  CHECK(postprocess(by_layer) == "dan");
  ModelOptions bounded = branchnorm(2'000'000);
  bounded.branchnorm_schedule = BranchSchedule::bounded;
  CHECK(postprocess(bounded) == "dsan");
  bounded.branchnorm_scales.assign(size_t(bounded.residual_sites()), 1.0);
  CHECK(postprocess(bounded) == "dan");
  bounded.branchnorm_scales.back() = 0.5;
  CHECK(postprocess(bounded) == "dsan");
  ModelOptions scaled = branchnorm(2'000'000);
  scaled.branchnorm_residual = BranchResidual::deepnorm;
  CHECK(postprocess(scaled) == "dsan");
  ModelOptions deepnorm = branchnorm(0);
  deepnorm.residual = ResidualKind::deepnorm;
  CHECK(postprocess(deepnorm) == "dsan");
  ModelOptions sub_ln = branchnorm(0);
  sub_ln.residual = ResidualKind::sub_ln;
  sub_ln.resolve(true, false);
  CHECK(postprocess(sub_ln) == "dsa");
  ModelOptions plain;
  CHECK(postprocess(plain) == "dan");
}

TEST_CASE("every residual kind says in special:model.yml what it is", "[settings]") {
  for (const ResidualTraits& traits : all_residual_traits()) {
    const ResidualKind kind = traits.kind;
    const std::string name = traits.name;
    INFO(name);
    ModelOptions o = branchnorm(0);
    o.residual = kind;
    o.resolve(true, false);
    const Yaml saved = parse_yaml(format_yaml(o.to_yaml()), "special:model.yml");
    CHECK(saved.find("transformer-residual")->text == name);
    const bool is_plain = traits.plain_form == PlainForm::itself;
    CHECK(o.is_plain() == is_plain);
    CHECK((saved.find("transformer-postprocess")->text.find('s') == std::string::npos) == is_plain);
    const ModelOptions again = ModelOptions::from_yaml(saved, "m.npz");
    CHECK(again.residual == kind);
    CHECK(again.to_yaml() == o.to_yaml());
    // Without the key that others do not know, nobody takes it for a plain Transformer.
    Yaml foreign = saved;
    std::erase_if(foreign.entries, [](const auto& entry) { return entry.first == "transformer-residual"; });
    CHECK(error_of(foreign).empty() == is_plain);
  }
}

TEST_CASE("a model that Marian saved is understood", "[settings]") {
  const Yaml saved = parse_yaml(marian_model, "special:model.yml");
  const ModelOptions o = ModelOptions::from_yaml(saved, "m.npz");
  CHECK(o.residual == ResidualKind::pre_ln);
  CHECK(o.encoder_layers == 6);
  CHECK(o.tied_embeddings_all);
  CHECK(o.vocab_sizes == std::vector<int>{32000, 32000});
  for (const auto& [key, value] : saved.entries)
    if (key != "bert-train-type-embeddings" && key != "bert-type-vocab-size" && key != "ulr-trainable-transformation") {
      INFO(key);
      CHECK(o.to_yaml().find(key) != nullptr);
    }
}

TEST_CASE("models that bough cannot compute are refused", "[settings]") {
  auto with = [](const char* key, Yaml value) {
    return error_of(parse_yaml(marian_model, "special:model.yml").set(key, std::move(value)));
  };
  CHECK(with("type", "s2s").find("type is 's2s', must be transformer") != std::string::npos);
  CHECK(with("transformer-ffn-depth", 3) ==
        "m.npz: special:model.yml has transformer-ffn-depth '3', must be 2. bough does not have this "
        "variant of the Transformer");
  CHECK(with("transformer-decoder-autoreg", "average-attention").find("must be one of: self-attention, rnn") !=
        std::string::npos);
  CHECK(with("transformer-decoder-autoreg", "rnn").find("dec-cell is 'gru', must be ssru") != std::string::npos);
  CHECK(with("transformer-tied-layers", Yaml::list({"1"})).find("transformer-tied-layers") != std::string::npos);
  CHECK(with("transformer-new-thing", true) ==
        "m.npz: special:model.yml has transformer-new-thing, which bough does not know. A newer "
        "bough may");
  CHECK(with("dim-emb", "many") ==
        "m.npz: special:model.yml: dim-emb is 'many', must be a whole number in [1, 262144]");
  CHECK(with("transformer-postprocess", "dsan").find("transformer-postprocess is 'dsan'") != std::string::npos);
  CHECK(error_of(Yaml::map()) == "m.npz: special:model.yml has no type. Is this a translation model?");
}
