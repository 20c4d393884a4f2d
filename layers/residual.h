#pragma once
#include <string>
#include <vector>

#include "core/ops.h"
#include "core/parameters.h"
#include "layers/model_options.h"

namespace bough {

/// The values that the residual family gives a stack of layers.
struct ResidualScales {
  double residual_scale = 1;   ///< a in LN(a x + F(x))
  double init_gain = 1;        ///< factor of the initial V, O and FFN weights
  double cross_init_gain = 1;  ///< the same for V and O of cross-attention
};
/// 1 but for the kinds that take them from the depth; N, M: encoder and decoder layers.
///   deepnorm (Wang 2022, arXiv 2203.00555): encoder  a = 0.81 (N^4 M)^(1/16),  gain 0.87 (N^4 M)^(-1/16)
///                                           decoder  a = (3M)^(1/4),           gain (12M)^(-1/4)
///   sub-ln (Wang 2022, arXiv 2210.06423):   encoder  gain sqrt(log(3M) log(2N) / 3)
///                                           decoder  gain sqrt(log(3M)), cross-attention 1 (as its authors' code)
ResidualScales encoder_scales(const ModelOptions& options);
ResidualScales decoder_scales(const ModelOptions& options);

/// alpha_t of every residual site, for UpdateState: 1 but for branchnorm, where r = min(t / T, 1) and
///   linear r;  sqrt r^(1/2);  cosine (1 - cos(pi r)) / 2;  by-layer min(t / (T l), 1) in layer l
/// progress: t, in branchnorm-max-step's unit, the current update included (from 1: at alpha = 0 a branch
/// has no gradient). site_layers: l of every site. The form has two independent sources, the linear ramp
/// one (arXiv 2603.05369, footnote 3); by-layer: Progressive Residual, arXiv 2603.05369.
std::vector<double> branch_scales(const ModelOptions& options, const std::vector<int>& site_layers, int64_t progress);

/// What adapt_branch_scales keeps the alpha of a residual site between, under branchnorm-schedule bounded.
struct BranchLimits {
  double smallest;                 ///< alpha
  double first_bound, last_bound;  ///< of |alpha F(x)| / |x|: when the run begins, and from T on
};
/// Of every residual site. smallest: 1/a, a DeepNorm's constant of the stack, at most 1, so that training begins as
/// DeepNorm's LN(a x + F(x)) = LN(x + F(x)/a) and is never held below it. Bounds by default: sqrt(2/n) for the n
/// sublayers of a stack from T on, where the gradient, which falls by sqrt(1 + r^2) in each, falls by e in all; first
/// the share min(1, 250 / L^2) of that for its L layers, decided by measurements: all of it to 15 layers, a tenth of it
/// at 50, while the learning rate is high.
std::vector<BranchLimits> branch_limits(const ModelOptions& options);

/// Admin's omega of the sublayers of a stack, from a forward pass at omega = 1 (Liu 2020, arXiv 2004.08249, sec. 5):
///   omega_i^2 = Var[x_0] + sum of Var[F_j], j < i;   omega_1 = 1 (no parameter)
/// x_0 counts as a branch, as in its authors' code; variances over all elements.
std::vector<double> admin_omegas(double input_variance, const std::vector<double>& branch_variances);

/// What travels between the sublayers of a stack.
struct ResidualStream {
  Var x;                     ///< what the next sublayer computes F of
  Var second;                ///< pre-ln, sub-ln, dlcl: the sum that F's result is added to; b2t: the layer's input;
                             ///< residual-dual: the stream that is never normalised
  std::vector<Var> history;  ///< dlcl: y_0, LN(y_1), LN(y_2), ...; stays outside recompute()

  std::vector<Var> vars() const;                             ///< x and second, where present
  static ResidualStream from(const std::vector<Var>& vars);  ///< the reverse
};

/// A place where a branch joins its residual.
struct Sublayer {
  std::string site;     ///< "encoder_l1_self", "decoder_l2_context", "encoder_l1_ffn"
  int64_t inner_width;  ///< of what its last matrix reads
};

/// Where alpha of every residual site stands: floats in i32 words, UpdateState's or a tensor's of their own.
struct BranchScales {
  Tensor words;
  int64_t first = 0;  ///< word of the first site
};

/// What a residual connection reads besides its terms.
struct ResidualContext {
  Dropout dropout;
  BranchScales branch_scales;
  Tensor row_sums;  ///< (sites of the stack, T, 4) for the sizes of both terms, or empty: see ResidualOutputs
  Tensor segments;  ///< (T) i32, for row_sums: -1 in the tail
};

/// The residual connections of one stack: the only place where the residual equation is written.
///   post-ln        x' = LN(x + F(x))                                    Vaswani 2017
///   pre-ln         x' = x + F(LN(x)), LN after the stack                Xiong 2020
///   pre-ln-no-top  the same without the LN after the stack (Marian's `n`, `da`, '')
///   deepnorm       x' = LN(a x + F(x))                                  Wang 2022, arXiv 2203.00555
///   branchnorm     x' = LN(x + alpha_t F(x))                            Liu 2023, arXiv 2305.02790
///   admin          x' = LN(omega * x + F(x)), omega (d), see admin_omegas   Liu 2020, arXiv 2004.08249
///   b2t            x' = LN(x + F(x)), the last of a layer LN(x_in + x + F(x)), x_in the layer's input
///                                                                       Takase 2022, arXiv 2206.00330
///   residual-dual  x' = LN(x + F(x)), z' = z + F(x), z_0 = x_0; the stack returns x + LN(z)
///                                                                       ResiDual: Xie 2023, arXiv 2304.14802
///   rezero         x' = x + alpha F(x), alpha one scalar a layer, from 0, no norm at all
///                                                                       Bachlechner 2020, arXiv 2003.04887
///   sub-ln         pre-ln, F with one more norm before its last matrix     Wang 2022, arXiv 2210.06423
///   dlcl           pre-ln within a layer; layer l reads sum_k w_lk y_k, k < l: y_0 the embedding, y_k the norm of
///                  layer k's result, w_lk scalars from 1/l; the stack returns one more such sum
///                                                                       Wang 2019, arXiv 1906.01787, eq. 8 f.
class ResidualStack {
 public:
  /// `prefix`: "encoder" or "decoder". sublayers: of all layers in order, the same number in each.
  /// first_site: number of the stack's first residual in UpdateState's list.
  ResidualStack(const ModelOptions& options, ResidualScales scales, const std::string& prefix, int layers,
                const std::vector<Sublayer>& sublayers, int64_t first_site, ParameterSet& parameters);

  /// The stream that enters the first sublayer.
  ResidualStream begin(const Var& embedded) const;
  /// What the last matrix of sublayer i reads: `inner`, normalised for sub-ln.
  Var before_output(size_t i, const Var& inner) const;
  /// After sublayer i: branch = F(stream.x) without its last bias, if it has one. stream.history is not read and not
  /// passed on.
  ResidualStream add(const ResidualStream& stream, size_t i, const Var& branch, const Parameter* bias,
                     const ResidualContext& context) const;
  /// After a layer: the stream that enters the next, from those before and behind it. The last one leaves in `x` what
  /// the stack returns.
  ResidualStream end_layer(const ResidualStream& before, ResidualStream behind) const;

 private:
  struct Norm {
    Parameter *gamma = nullptr, *beta = nullptr;
    void normalise(ResidualArguments& a) const;  // sets gamma and beta, if there are any
  };
  void declare(const std::string& prefix, const std::vector<Sublayer>& sublayers, int64_t width,
               ParameterSet& parameters);
  void declare_history(const std::string& prefix, int64_t width, ParameterSet& parameters);
  bool starts_layer(size_t i) const { return i % per_layer_ == 0; }
  bool ends_layer(size_t i) const { return (i + 1) % per_layer_ == 0; }
  bool is_last(size_t i) const { return i + 1 == per_layer_ * layers_; }
  /// Whether what sublayer i added to is not added to again.
  bool sums_end(size_t i) const { return history_norms_.empty() ? is_last(i) : ends_layer(i); }
  /// The sum leaves the stack as it is: there is no norm behind it.
  bool has_open_end() const { return !top_.gamma && history_norms_.empty(); }
  const Norm& norm_after(size_t i) const;
  ResidualNorm equation(size_t i, const ResidualContext& context) const;
  ResidualResult fused(ResidualArguments terms, const ResidualNorm& p) const;
  ResidualResult join(size_t i, ResidualArguments terms, const ResidualContext& context) const;
  ResidualStream dual(const ResidualStream& stream, const Var& x, ResidualArguments terms, bool is_last,
                      const Dropout& dropout) const;
  ResidualStream combine(std::vector<Var> history) const;

  const ResidualTraits& kind_;
  bool splits_;  // hi + lo where computation is in bf16
  ResidualScales scales_;
  size_t layers_, per_layer_;
  int64_t first_site_;
  std::vector<Norm> norms_;                       // of every sublayer: behind it, or before it in pre-norm kinds
  Norm top_;                                      // pre-ln, sub-ln, residual-dual
  std::vector<Norm> inner_norms_;                 // sub-ln, of every sublayer
  std::vector<Norm> history_norms_;               // dlcl, of every layer
  std::vector<Parameter*> omegas_;                // admin, of every sublayer but the first (null)
  std::vector<Parameter*> alphas_;                // rezero, of every layer
  std::vector<std::vector<Parameter*>> weights_;  // dlcl, of y_0 .. y_l: for every layer and the result
};

}  // namespace bough
