#pragma once
#include <string>

// The names of parameters in model files, logs and messages: Marian's, and ours where Marian has no such parameter.
// A site is a place where a branch joins its residual, "decoder_l2_context".

namespace bough::parameter_names {

inline constexpr const char *encoder = "encoder", *decoder = "decoder";
inline constexpr const char *self = "self", *context = "context", *ffn = "ffn";  ///< sublayers; context: of the source
inline constexpr const char* rnn = "rnn";                                        ///< in place of a decoder's self
inline constexpr const char* embedding = "Wemb";                                 ///< where both sides share one
inline constexpr const char *source_embedding = "encoder_Wemb", *target_embedding = "decoder_Wemb";
inline constexpr const char* positions = "Wpos";
inline constexpr const char *output = "decoder_ff_logit_out_Wt", *output_bias = "decoder_ff_logit_out_b";
inline constexpr const char* old_output = "decoder_ff_logit_out_W";  ///< output's transpose, in old models

/// "encoder_l1"; layers count from 1.
std::string layer(const std::string& stack, int number);
/// "encoder_l1_self".
std::string site(const std::string& stack, int number, const std::string& sublayer);
/// "encoder_l1_self_Wq" and "encoder_l1_self_bq". Products of attention: q, k, v, o; of the feed-forward sublayer:
/// 1, 2; of a recurrence: f (the gate), none ("decoder_l1_rnn_W"), o where it has a projection.
std::string weight(const std::string& site, const std::string& product);
std::string bias(const std::string& site, const std::string& product);
/// The product that scales a branch: the one that it ends with, "o" or "2"; of a recurrence without projection, which
/// is homogeneous in it, "".
const char* last_product(const std::string& site, bool has_projection = true);
/// What a site's norms are named after: "encoder_l1_self_Wo", "encoder_l1_ffn_ffn", "decoder_l1_rnn_ffn", but
/// "decoder_l1_rnn" where the norm stands before the sublayer.
std::string norm_owner(const std::string& site, bool is_before);
/// "encoder_l1_self_Wo_ln_scale", "..._ln_bias". variant: "_pre" for a norm before the sublayer, "_inner" inside.
std::string norm_scale(const std::string& owner, const char* variant = "");
std::string norm_bias(const std::string& owner, const char* variant = "");
/// Owner of the norm behind a whole stack: "encoder_top".
std::string top(const std::string& stack);
/// admin's: "encoder_l1_ffn_omega".
std::string omega(const std::string& site);
bool is_omega(const std::string& parameter);
/// Marian's multipliers of int8 activations, "encoder_l1_self_Wq_QuantMultA": models prepared for int8 have them beside
/// their parameters, and only int8 products read them.
bool is_int8_multiplier(const std::string& array);
std::string int8_multiplier(const std::string& array);
/// Of the output layer's activations where words come from a shortlist.
inline constexpr const char* listed_int8_multiplier = "none_QuantMultA";
/// Whether int8 models have a parameter in 8 bits: matrices of products, and embeddings.
bool is_int8_matrix(const std::string& parameter);

inline constexpr const char *embedding_group = "embeddings", *output_group = "output";
/// The group that a parameter is logged with: its layer ("decoder_l12"), "encoder_top" for what stands behind a stack,
/// "embeddings" (positions too), "output" (bias and output matrix, unless that is the embedding's).
std::string group_of(const std::string& parameter);

}  // namespace bough::parameter_names
