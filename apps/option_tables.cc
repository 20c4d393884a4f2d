#include "apps/option_tables.h"

#include <iterator>

namespace bough {
namespace {

using Values = std::vector<std::pair<std::string_view, std::string_view>>;

/// The recipe all four presets share (Vaswani et al. 2017 as Marian runs it).
Values preset(Values own) {
  Values all = {{"type", "transformer"},
                {"enc-depth", "6"},
                {"dec-depth", "6"},
                {"tied-embeddings-all", "true"},
                {"transformer-ffn-activation", "relu"},
                {"transformer-dropout", "0.1"},
                {"cost-type", "ce-mean-words"},
                {"label-smoothing", "0.1"},
                {"clip-norm", "0"},
                {"exponential-smoothing", "1e-4"},
                {"max-length", "100"},
                {"mini-batch-fit", "true"},
                {"mini-batch", "1000"},
                {"maxi-batch", "1000"},
                {"beam-size", "8"},
                {"normalize", "1"},
                {"sync-sgd", "true"}};
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

const Values base = {{"dim-emb", "512"},         {"transformer-dim-ffn", "2048"},
                     {"transformer-heads", "8"}, {"learn-rate", "3e-4"},
                     {"lr-warmup", "16000"},     {"lr-decay-inv-sqrt", "16000"},
                     {"workspace", "9500"},      {"optimizer-params", "[0.9, 0.98, 1e-9]"},
                     {"valid-mini-batch", "16"}};
const Values big = {{"dim-emb", "1024"},         {"transformer-dim-ffn", "4096"},
                    {"transformer-heads", "16"}, {"learn-rate", "2e-4"},
                    {"lr-warmup", "8000"},       {"lr-decay-inv-sqrt", "8000"},
                    {"workspace", "13000"},      {"optimizer-params", "[0.9, 0.998, 1e-9]"},
                    {"valid-mini-batch", "8"}};
const Values post_norm = {{"transformer-preprocess", "''"}, {"transformer-postprocess", "dan"}};
const Values pre_norm = {
    {"transformer-preprocess", "n"}, {"transformer-postprocess", "da"}, {"transformer-postprocess-top", "n"}};

Values with(Values settings, const Values& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

constexpr auto rnn = "belongs to Marian's RNN models; bough has Transformers only";
constexpr auto ulr = "belongs to universal language representations, which bough does not have";
constexpr auto bert = "belongs to BERT-like models; bough has encoder-decoder Transformers only";
constexpr auto comet = "belongs to Marian's COMET metrics, which bough does not have";
constexpr auto character = "belongs to Marian's character-level RNN; bough has Transformers only";
constexpr auto average_attention =
    "belongs to Marian's average-attention decoder; bough's decoder has self-attention or SSRU";
constexpr auto alibi = "is not supported: positions are sinusoidal or learned";
constexpr auto factors = "belongs to factored vocabularies, which bough does not have";
constexpr auto quantised_training = "is not supported: bough does not train quantised models";
constexpr auto gradient_scaling = "is not supported: use clip-norm";
constexpr auto old = "was an option of an old Marian for asynchronous training; bough does not have it";
constexpr auto always_skips =
    "is not supported: bough skips and counts updates with NaN or infinity and stops when training "
    "has diverged";
constexpr auto fixed_shape = "is not supported: every feed-forward sublayer has two matrices";
constexpr auto casing = "is not supported: change the case of the corpus beforehand";
constexpr auto fallback = "is not supported: bfloat16 needs no float32 to fall back to";
constexpr auto not_yet = "is not supported yet";

constexpr RefusedOption refused[] = {
    {"dim-rnn", "1024", rnn},
    {"enc-type", "bidirectional", rnn},
    {"enc-cell", "gru", rnn},
    {"enc-cell-depth", "1", rnn},
    {"dec-cell-base-depth", "2", rnn},
    {"dec-cell-high-depth", "1", rnn},
    {"skip", "false", rnn},
    {"best-deep", "false", rnn},
    {"dropout-rnn", "0", "is not supported: transformer-dropout is there for recurrent decoders, too"},
    {"layer-normalization", "false",
     "belongs to Marian's RNN models. A Transformer's layer norms follow from "
     "transformer-residual"},
    {"char-stride", "5", character},
    {"char-highway", "4", character},
    {"char-conv-filters-num", "200 200 250 250 300 300 300 300", character},
    {"char-conv-filters-widths", "1 2 3 4 5 6 7 8", character},
    {"ulr", "false", ulr},
    {"ulr-query-vectors", "", ulr},
    {"ulr-keys-vectors", "", ulr},
    {"ulr-trainable-transformation", "false", ulr},
    {"ulr-dim-emb", "0", ulr},
    {"ulr-dropout", "0", ulr},
    {"ulr-softmax-temperature", "1", ulr},
    {"bert-mask-symbol", "[MASK]", bert},
    {"bert-sep-symbol", "[SEP]", bert},
    {"bert-class-symbol", "[CLS]", bert},
    {"bert-masking-fraction", "0.15", bert},
    {"bert-train-type-embeddings", "true", bert},
    {"bert-type-vocab-size", "2", bert},
    {"comet-final-sigmoid", "false", comet},
    {"comet-stop-grad", "false", comet},
    {"comet-mix", "false", comet},
    {"comet-mix-norm", "false", comet},
    {"comet-pool", "avg", comet},
    {"comet-mix-transformation", "softmax", comet},
    {"comet-dropout", "0.1", comet},
    {"comet-mixup", "0", comet},
    {"comet-mixup-reg", "false", comet},
    {"comet-augment-bad", "0", comet},
    {"comet-pooler-ffn", "2048 1024", comet},
    {"comet-prepend-zero", "false", comet},
    {"comet-use-separator", "false", comet},
    {"train-embedder-rank", "", comet},
    {"transformer-dim-aan", "2048", average_attention},
    {"transformer-aan-depth", "2", average_attention},
    {"transformer-aan-activation", "swish", average_attention},
    {"transformer-aan-nogate", "false", average_attention},
    {"transformer-pool", "false", "belongs to LASER models, which bough does not have"},
    {"transformer-attention-mask", "default", alibi},
    {"transformer-alibi-shift", "false", alibi},
    {"transformer-alibi-trainable", "false", alibi},
    {"alibi", "false", alibi},
    {"separator-symbol", "[eos]", alibi},
    {"transformer-disable-position-embeddings", "false", alibi},
    {"transformer-ffn-depth", "2", fixed_shape},
    {"transformer-decoder-ffn-depth", "0", fixed_shape},
    {"transformer-no-projection", "false", "is not supported: attention always has its output matrix"},
    {"transformer-no-bias", "false", "is not supported: only Marian's transformer-new reads it"},
    {"transformer-no-affine", "false", "is not supported: only Marian's transformer-new reads it"},
    {"transformer-tied-layers", "", "is not supported: each layer has its own parameters"},
    {"alignment", "", "is an option of bough-translate and bough-score; validation uses best translations"},
    {"multi-loss-type", "sum", "is not supported: the loss of alignments is added to that of the words"},
    {"input-reorder", "", not_yet},
    {"input-join-fields", "false", not_yet},
    {"factors-dim-emb", "0", factors},
    {"factors-combine", "sum", factors},
    {"lemma-dependency", "", factors},
    {"lemma-dim-emb", "0", factors},
    {"factor-weight", "1", factors},
    {"quantize-bits", "0", quantised_training},
    {"quantize-optimization-steps", "0", quantised_training},
    {"quantize-log-based", "false", quantised_training},
    {"quantize-biases", "false", quantised_training},
    {"dynamic-gradient-scaling", "", gradient_scaling},
    {"custom-fallbacks", "", fallback},
    {"throw-on-divergence", "",
     "is not supported: use divergence-threshold, in nats per target token, and divergence-updates"},
    {"check-nan", "false", always_skips},
    {"normalize-gradient-by-ratio", "false", "is not supported: gradients are always per target token"},
    {"mini-batch-words-ref", "0",
     "is not supported: set learn-rate and exponential-smoothing for the batch size you use"},
    {"mini-batch-track-lr", "false", "is not supported: Marian refuses it, too"},
    {"exponential-smoothing-replace-freq", "0", not_yet},
    {"ignore-model-config", "false", "is not supported: special:model.yml in the model decides what the model is"},
    {"all-caps-every", "0", casing},
    {"english-title-case-every", "0", casing},
    {"unlikelihood-loss", "false", "is not supported: the loss is cross-entropy"},
    {"n-best", "false", "is an option of bough-translate; validation uses best translations"},
    {"word-scores", "false", "is an option of bough-translate; validation uses best translations"},
    {"allow-special", "false", not_yet},
    {"encryption-key-path", "", "is not supported: bough has no encrypted models"},
    {"port", "8080", "belongs to marian-server; bough-translate reads lines and answers line by line"},
    {"authors", "false", "is not there; the LICENSE names the authors"},
    {"cite", "false", "is not there; the README says what to cite"},
    {"multi-node", "false", old},
    {"multi-node-overlap", "true", old},
    {"batch-flexible-lr", "false", old},
    {"batch-normal-words", "1920", old},
};

}  // namespace

std::vector<AliasExpansion> option_aliases() {
  return {{"fp16", "true", {{"precision", "[bfloat16, float32]"}}},
          {"no-shuffle", "true", {{"shuffle", "none"}}},
          {"task", "transformer-base", preset(with(base, post_norm))},
          {"task", "transformer-big", preset(with(big, post_norm))},
          {"task", "transformer-base-prenorm", preset(with(base, pre_norm))},
          {"task", "transformer-big-prenorm", preset(with(big, pre_norm))}};
}

std::vector<std::string_view> ignored_options() { return {"version", "special-vocab"}; }

std::vector<std::string_view> options_of_the_model() {
  return {"type",
          "dim-vocabs",
          "dim-emb",
          "enc-depth",
          "dec-depth",
          "tied-embeddings",
          "tied-embeddings-src",
          "tied-embeddings-all",
          "output-omit-bias",
          "right-left",
          "transformer-heads",
          "transformer-dim-ffn",
          "transformer-decoder-dim-ffn",
          "transformer-ffn-activation",
          "transformer-preprocess",
          "transformer-postprocess",
          "transformer-postprocess-emb",
          "transformer-postprocess-top",
          "transformer-depth-scaling",
          "transformer-train-position-embeddings",
          "transformer-guided-alignment-layer",
          "transformer-decoder-autoreg",
          "transformer-rnn-projection",
          "dec-cell",
          "input-types"};
}

std::vector<Rivals> rival_options() {
  std::vector<Rivals> rivals = {{"cpu-threads", "0", "devices"},
                                {"devices", "", "cpu-threads"},
                                {"mini-batch-words", "0", "mini-batch-fit"},
                                {"mini-batch-fit", "false", "mini-batch-words"}};
  for (const char* ops : {"transformer-preprocess", "transformer-postprocess", "transformer-postprocess-top"}) {
    rivals.push_back({"transformer-residual", "", ops});
    rivals.push_back({ops, "", "transformer-residual"});
  }
  return rivals;
}

std::vector<RefusedOption> refused_options() { return {std::begin(refused), std::end(refused)}; }

}  // namespace bough
