#include "layers/model_options.h"

#include <algorithm>
#include <charconv>

#include "core/base/error.h"

namespace bough {

namespace {

EnumNames<ResidualKind> residual_names() {
  EnumNames<ResidualKind> names;
  for (const ResidualTraits& t : all_residual_traits()) names.emplace_back(t.name, t.kind);
  return names;
}

// Beyond these a number is a mistake, and would take all memory before anybody could say so.
constexpr int most_layers = 2'000, most_width = 1 << 18;

const EnumNames<BranchSchedule> schedule_names = {
    {"linear", BranchSchedule::linear}, {"by-layer", BranchSchedule::by_layer}, {"square", BranchSchedule::square},
    {"sqrt", BranchSchedule::sqrt},     {"cosine", BranchSchedule::cosine},     {"bounded", BranchSchedule::bounded}};
const EnumNames<BranchInit> init_names = {{"xavier", BranchInit::xavier}, {"deepnorm", BranchInit::deepnorm}};
const EnumNames<BranchResidual> branch_residual_names = {{"one", BranchResidual::one},
                                                         {"deepnorm", BranchResidual::deepnorm}};
const EnumNames<ResidualPrecision> precision_names = {{"auto", ResidualPrecision::automatic},
                                                      {"bfloat16", ResidualPrecision::bfloat16},
                                                      {"split", ResidualPrecision::split}};
const EnumNames<DecoderMemory> memory_names = {{"self-attention", DecoderMemory::self_attention},
                                               {"rnn", DecoderMemory::rnn}};
const EnumNames<Activation> activation_names = {
    {"swish", Activation::swish}, {"relu", Activation::relu}, {"gelu", Activation::gelu}};

/// The op strings that describe a residual kind in Marian's terms, as far as these go: where its norms are. What they
/// do not say (scales, more norms, more streams) is said by an `s` when such a model is saved.
struct OpStrings {
  const char* preprocess;
  const char* postprocess;
  const char* postprocess_top;
};
OpStrings strings_of(ResidualKind kind) {
  const ResidualTraits& traits = traits_of(kind);
  switch (traits.norm) {
    case NormPlace::before_branch:
      return {"n", "da", traits.has_top_norm || traits.learned == LearnedScale::history ? "n" : ""};
    case NormPlace::nowhere:
      return {"", "da", ""};
    case NormPlace::after_sum:
      break;
  }
  return {"", "dan", ""};
}

bool matches(const ModelOptions& m, ResidualKind kind) {
  const OpStrings s = strings_of(kind);
  return m.preprocess == s.preprocess && m.postprocess == s.postprocess && m.postprocess_top == s.postprocess_top;
}

void refuse_unknown_ops(const std::string& key, const std::string& ops) {
  for (char op : ops) {
    check(op != 'h' && op != 'r',
          "{} is '{}': bough has no {}; 'd' (dropout), 'a' (add) and 'n' (layer norm) are there. "
          "Choose transformer-residual instead",
          key, ops, op == 'h' ? "highway connections" : "RMS norm");
    check(op == 'd' || op == 'a' || op == 'n', "{} is '{}', must be made of the letters d, a and n", key, ops);
  }
}

}  // namespace

void ModelOptions::settings(Settings& v) {
  family_settings(v);
  residual_settings(v);
}

void ModelOptions::family_settings(Settings& v) {
  v.group("Model");
  v(type, "type",
    "model family. bough has one, the Transformer encoder-decoder (Marian's default is amun, an "
    "RNN)");
  v(model_dim, "dim-emb", "width of embeddings and of all layers (d)", Range<int>{1, most_width});
  v(encoder_layers, "enc-depth", "encoder layers; the presets use 6", Range<int>{1, most_layers});
  v(decoder_layers, "dec-depth", "decoder layers; the presets use 6", Range<int>{1, most_layers});
  v(heads, "transformer-heads", "attention heads; must divide dim-emb", Range<int>{1, most_width});
  v(ffn_dim, "transformer-dim-ffn", "inner width of the feed-forward sublayers", Range<int>{1, most_width});
  v(decoder_ffn_dim, "transformer-decoder-dim-ffn", "the same for the decoder; 0 = as transformer-dim-ffn",
    Range<int>{0, most_width});
  v(activation, "transformer-ffn-activation", "non-linearity of the feed-forward sublayers", activation_names);
  v(tied_embeddings, "tied-embeddings", "target embedding and output matrix are one");
  v(tied_embeddings_src, "tied-embeddings-src", "source and target embedding are one; needs a joint vocabulary");
  v(tied_embeddings_all, "tied-embeddings-all",
    "source embedding, target embedding and output matrix are one; needs a joint vocabulary");
  v(output_omit_bias, "output-omit-bias", "no bias on the logits");
  v(right_left, "right-left",
    "learn and generate the target from its last token to its first; its output is turned round "
    "again");
  v(decoder_memory, "transformer-decoder-autoreg",
    "what a decoder layer has of the target so far: self-attention over it, or rnn, a recurrent state (dec-cell) whose "
    "size does not grow: for small, fast models",
    memory_names);
  v(decoder_cell, "dec-cell",
    "the cell of transformer-decoder-autoreg rnn: ssru must be given, f = sigmoid(x Wf + bf), c' = f c + (1 - f) x W, "
    "result relu(c')");
  v(rnn_projection, "transformer-rnn-projection", "an output matrix behind that recurrence");
  v(guided_alignment_layer, "transformer-guided-alignment-layer",
    "decoder layer, from 1, or last, whose first head of cross-attention learns guided-alignment, and gives what "
    "alignment prints");
  v(learned_positions, "transformer-train-position-embeddings",
    "learn position vectors (max-length of them) instead of sinusoids");
}

void ModelOptions::residual_settings(Settings& v) {
  v.group("Residual connections");
  v(residual, "transformer-residual",
    "how a sublayer F joins its input x. post-ln: LN(x + F(x)). pre-ln: x + F(LN(x)), LN after the stack; "
    "pre-ln-no-top: not after it. deepnorm: "
    "LN(a x + F(x)) with a and the initialisation from the depth. branchnorm: LN(x + alpha F(x)), "
    "alpha grows towards 1; where it is 1 this is a plain post-ln model. To compare with: admin, b2t, residual-dual, "
    "rezero, sub-ln, dlcl (docs/branchnorm.md). All but the first three are made for depth",
    residual_names());
  v(branchnorm_max_step, "branchnorm-max-step",
    "T, in updates (4000u) or target tokens (2Gt): when branchnorm's alpha reaches 1, or bounded's bound its last "
    "value. 0 = from lr-warmup (4000u where there is none): for bounded half of it for every layer of the deeper "
    "stack, else an eighth",
    updates_or_labels);
  v(branchnorm_schedule, "branchnorm-schedule",
    "alpha. bounded: of each sublayer, from deepnorm's scale up to 1 as far as the branch stays small beside its "
    "residual (branchnorm-bound). Over r = min(t/T, 1): linear r, the paper's; sqrt r^(1/2); cosine "
    "(1 - cos(pi r))/2; by-layer min(t/(T l), 1) in layer l: lower layers first; square: by-layer squared",
    schedule_names);
  v(branchnorm_init, "branchnorm-init",
    "initial weights under branchnorm: deepnorm's smaller value, output and FFN matrices, or xavier", init_names);
  v(branchnorm_residual, "branchnorm-residual-scale",
    "what branchnorm multiplies the residual with: one, or deepnorm's constant a: LN(a x + alpha F(x))",
    branch_residual_names);
  v(branchnorm_bound, "branchnorm-bound",
    "bounded: largest size of a branch beside its residual, at the start and from T on; one value holds for both. "
    "none = sqrt(2/n) from T on for the n sublayers of a stack of L layers, min(1, 250/L^2) of that at the start",
    Range<double>{0, 1});
  v(depth_scaling, "transformer-depth-scaling",
    "initial weights of layer l times l^(-1/2); not with deepnorm or sub-ln initialisation");
  v(residual_precision, "residual-precision",
    "how the forward residual stream is kept where precision is bfloat16 (float32 needs no choice): bfloat16, "
    "which rounds a deep stack's small branches away; split: as the sum of two bfloat16 numbers, 16 significant "
    "bits, for two more passes over activations a sublayer; auto: split where a stack has more than 24 layers",
    precision_names);
  v(preprocess, "transformer-preprocess",
    "Marian's spelling of the residual kind: ops before a sublayer, '' (post-ln) or 'n' (pre-ln)");
  v(postprocess, "transformer-postprocess", "ops after a sublayer: 'dan' (post-ln) or 'da' (pre-ln)");
  v(postprocess_emb, "transformer-postprocess-emb",
    "ops on embeddings: 'd' = transformer-dropout applies to them, '' = it does not");
  v(postprocess_top, "transformer-postprocess-top",
    "ops after the last layer: '' (post-ln, pre-ln-no-top) or 'n' (pre-ln)");
}

SchedulePeriod ModelOptions::default_max_step(SchedulePeriod warmup) const {
  if (!warmup) warmup = {4000};
  if (branchnorm_schedule == BranchSchedule::bounded)
    return {std::max<int64_t>(warmup.count * deepest_stack() / 2, 1), warmup.unit};
  return {std::max<int64_t>(warmup.count / (8 * layers_in_turn()), 1), warmup.unit};
}

std::vector<std::string> ModelOptions::idle_branchnorm_options(SchedulePeriod warmup) const {
  std::vector<std::string> names;
  if (traits().has_branch_scales) return names;
  const ModelOptions usual;
  if (branchnorm_schedule != usual.branchnorm_schedule) names.push_back("branchnorm-schedule");
  if (branchnorm_max_step && branchnorm_max_step != default_max_step(warmup)) names.push_back("branchnorm-max-step");
  if (branchnorm_init != usual.branchnorm_init) names.push_back("branchnorm-init");
  if (branchnorm_residual != usual.branchnorm_residual) names.push_back("branchnorm-residual-scale");
  return names;
}

int ModelOptions::aligned_layer() const {
  if (guided_alignment_layer == "last") return decoder_layers;
  int layer = 0;
  const char* const end = guided_alignment_layer.data() + guided_alignment_layer.size();
  const auto parsed = std::from_chars(guided_alignment_layer.data(), end, layer);
  check(parsed.ec == std::errc() && parsed.ptr == end && layer >= 1 && layer <= decoder_layers,
        "transformer-guided-alignment-layer is '{}', must be last or a decoder layer, 1 to {}", guided_alignment_layer,
        decoder_layers);
  return layer;
}

bool ModelOptions::splits_residual() const {
  constexpr int deep = 24;  // layers of a stack
  if (residual_precision == ResidualPrecision::automatic) return deepest_stack() > deep;
  return residual_precision == ResidualPrecision::split;
}

void ModelOptions::resolve(bool residual_given, bool strings_given) {
  if (strings_given) {
    refuse_unknown_ops("transformer-preprocess", preprocess);
    refuse_unknown_ops("transformer-postprocess", postprocess);
    refuse_unknown_ops("transformer-postprocess-top", postprocess_top);
    if (!residual_given) {
      for (ResidualKind kind : {ResidualKind::post_ln, ResidualKind::pre_ln, ResidualKind::pre_ln_no_top})
        if (matches(*this, kind)) residual = kind;
    }
    check(matches(*this, residual),
          "transformer-residual is {}, which in Marian's terms is transformer-preprocess '{}', "
          "-postprocess '{}', -postprocess-top '{}', but these are '{}', '{}', '{}'. Leave one of "
          "the two ways out, or give them as post-ln or pre-ln ('n', 'da', 'n') alike",
          name_of(residual), strings_of(residual).preprocess, strings_of(residual).postprocess,
          strings_of(residual).postprocess_top, preprocess, postprocess, postprocess_top);
  }
  preprocess = strings_of(residual).preprocess;
  postprocess = strings_of(residual).postprocess;
  postprocess_top = strings_of(residual).postprocess_top;
}

void ModelOptions::validate() const {
  check(type == "transformer", "type is '{}', must be transformer: bough trains encoder-decoder Transformers only{}",
        type, type == "amun" || type == "s2s" || type == "nematus" ? ", no RNNs" : "");
  check(model_dim % heads == 0, "transformer-heads is {}, must divide dim-emb, which is {}. Change one of them", heads,
        model_dim);
  check(model_dim % 2 == 0 || learned_positions, "dim-emb is {}, must be even for sinusoidal positions", model_dim);
  (void)aligned_layer();
  check(postprocess_emb.empty() || postprocess_emb == "d",
        "transformer-postprocess-emb is '{}', must be 'd' or '': bough has no layer norm on "
        "embeddings",
        postprocess_emb);
  for (const double bound : branchnorm_bound)
    check(bound > 0, "branchnorm-bound is {}, must be above 0 and at most 1", bound);
  check(branchnorm_scales.empty() || int(branchnorm_scales.size()) == residual_sites(),
        "branchnorm-scales has {} values, must have {}: one for each sublayer", branchnorm_scales.size(),
        residual_sites());
  check(branchnorm_bound.empty() || has_bounded_branches(),
        "branchnorm-bound is given, but nothing follows it: it needs transformer-residual branchnorm and "
        "branchnorm-schedule bounded. Leave it out");
  check(!(has_bounded_branches() && branchnorm_residual == BranchResidual::deepnorm),
        "branchnorm-residual-scale is deepnorm, but branchnorm-schedule bounded begins at deepnorm's scale by itself. "
        "Leave the first out, or choose another schedule");
  check(branchnorm_bound.size() <= 2, "branchnorm-bound has {} values, must have 1 or 2: at the start, and from T on",
        branchnorm_bound.size());
  const bool is_sub_ln = traits().depth_constants == DepthConstants::sub_ln;
  check(!has_rnn_decoder() || decoder_cell == "ssru",
        "dec-cell is '{}', must be ssru under transformer-decoder-autoreg rnn: bough has no other cell. Set it",
        decoder_cell);
  check(
      has_rnn_decoder() || !rnn_projection,
      "transformer-rnn-projection is on, but no layer has it: it needs transformer-decoder-autoreg rnn. Leave it out");
  check(!is_sub_ln || !has_rnn_decoder() || rnn_projection,
        "transformer-residual is sub-ln, whose inner norms stand before a sublayer's last matrix, and a recurrence has "
        "none. Give transformer-rnn-projection, or another residual");
  check(!(depth_scaling && (is_sub_ln || has_deepnorm_init())),
        "transformer-depth-scaling is on, but {} scales its initial weights itself. Turn it off",
        is_sub_ln ? "sub-ln" : "deepnorm");
}

void DropoutOptions::settings(Settings& v) {
  v.group("Regularisation");
  v(dropout, "transformer-dropout", "probability of zeroing an element of a sublayer's output", probability);
  v(attention_dropout, "transformer-dropout-attention", "the same for attention weights", probability);
  v(activation_dropout, "transformer-dropout-ffn", "the same after the feed-forward activation", probability);
  v(source_word_dropout, "dropout-src", "probability of zeroing a whole source word vector", probability);
  v(target_word_dropout, "dropout-trg", "the same for target words", probability);
  v(label_smoothing, "label-smoothing",
    "share of probability spread evenly over the vocabulary in the training loss; 0.1 is usual", probability);
  v(guided_alignment_cost, "guided-alignment-cost",
    "how attention is compared with guided-alignment: ce, cross-entropy; a Transformer has no other in Marian, either");
  v(guided_alignment_weight, "guided-alignment-weight", "of the loss of guided-alignment beside that of the words",
    Range<double>{0});
}

void DropoutOptions::embedding_settings(Settings& v) {
  v(fix_source_embedding, "embedding-fix-src",
    "leave the source's embeddings as they are when training begins; where both sides share them, all of them");
  v(fix_target_embedding, "embedding-fix-trg",
    "the same for the target's, and for the output matrix where it is tied to them");
}

}  // namespace bough
