#pragma once
#include <span>
#include <string>

namespace bough {

/// How a sublayer F joins its input x. The equations: ResidualStack.
enum class ResidualKind {
  post_ln,
  pre_ln,
  pre_ln_no_top,
  deepnorm,
  branchnorm,
  admin,
  b2t,
  residual_dual,
  rezero,
  sub_ln,
  dlcl,
  kinds  ///< none: how many there are
};

/// Where a sublayer's layer norm is.
enum class NormPlace { after_sum, before_branch, nowhere };
/// What travels between the sublayers of a stack beside what the next F reads.
enum class SecondStream {
  none,
  sum,              ///< what F's result is added to, before the norm
  layer_input,      ///< x of the layer's first sublayer, for its last
  never_normalised  ///< z' = z + F(x)
};
/// The learned factors of the equation.
enum class LearnedScale {
  none,
  residual,  ///< of x: a vector for every sublayer but the first
  branch,    ///< of F(x): a scalar for every layer
  history    ///< of all layers below, whose sum a layer reads: a scalar for each
};
/// Which constants the depth gives: encoder_scales().
enum class DepthConstants { none, deepnorm, sub_ln };
/// How the model becomes a plain Post-LN or Pre-LN Transformer.
enum class PlainForm {
  itself,
  folded,  ///< its scales go into the matrices and norms beside them
  none
};

/// What tells a kind from the others. Code asks for these, not for the kind. One more kind is a value of ResidualKind
/// and a row of the table in residual_kinds.cc; more only where it does what none did before, then in ResidualStack.
struct ResidualTraits {
  ResidualKind kind;
  const char* name;  ///< transformer-residual
  NormPlace norm = NormPlace::after_sum;
  bool has_top_norm = false;    ///< a norm at the end of the stack
  bool has_inner_norm = false;  ///< a norm before a sublayer's last matrix
  SecondStream second = SecondStream::none;
  LearnedScale learned = LearnedScale::none;
  DepthConstants depth_constants = DepthConstants::none;
  bool has_branch_scales = false;  ///< alpha_t of F(x), and options for it and for which depth_constants are used
  PlainForm plain_form = PlainForm::none;
};

const ResidualTraits& traits_of(ResidualKind kind);
/// Every kind, in the order of ResidualKind.
std::span<const ResidualTraits> all_residual_traits();
/// "branchnorm", ...
std::string name_of(ResidualKind kind);

}  // namespace bough
