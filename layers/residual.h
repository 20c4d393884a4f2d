#pragma once
#include <string>
#include <vector>

#include "core/ops.h"
#include "core/parameters.h"
#include "layers/model_options.h"

namespace bough {

/// The values that the residual family gives a stack of layers.
struct ResidualScales {
  double residual_scale = 1;  ///< a in LN(a x + F(x))
  double init_gain = 1;       ///< b: factor of the initial V, O and FFN weights
};
/// DeepNorm's constants (Wang 2022, arXiv 2203.00555) where the kind asks for them, else 1:
///   encoder  a = 0.81 (N^4 M)^(1/16),  b = 0.87 (N^4 M)^(-1/16)
///   decoder  a = (3M)^(1/4),           b = (12M)^(-1/4)          N, M: encoder and decoder layers
ResidualScales encoder_scales(const ModelOptions& options);
ResidualScales decoder_scales(const ModelOptions& options);

/// alpha_t of every residual site, for StepState: 1 but for branchnorm, where r = min(t / T, 1) and
///   linear r;  sqrt r^(1/2);  cosine (1 - cos(pi r)) / 2;  by-layer min(t / (T l), 1) in layer l
/// progress: t, in branchnorm-max-step's unit, the current update included (from 1: at alpha = 0 a branch
/// has no gradient). site_layers: l of every site. The form has two independent sources, the linear ramp
/// one (arXiv 2603.05369, footnote 3); by-layer: Progressive Residual, arXiv 2603.05369.
std::vector<double> branch_scales(const ModelOptions& options, const std::vector<int>& site_layers,
                                  int64_t progress);

/// What travels between the sublayers of a stack. Post-norm kinds need `x` alone.
struct ResidualStream {
  Var x;    ///< what the next sublayer computes F of
  Var sum;  ///< pre-ln: the residual stream that F's result is added to
  std::vector<Var> vars() const;                             ///< those present, for checkpoint()
  static ResidualStream from(const std::vector<Var>& vars);  ///< the reverse
};

/// What a residual connection reads besides its terms.
struct ResidualContext {
  Dropout dropout;
  Tensor step_state;
  Tensor square_sums;  ///< (sites, 3) f64 that the sizes of both terms are added to, or empty: see the kernel
  Tensor segments;     ///< (T) i32, for square_sums: -1 in the tail
};

/// The residual connections of one stack: the only place where the residual equation is written.
///   post-ln     x' = LN(x + F(x))                       Vaswani 2017
///   pre-ln      x' = x + F(LN(x)), LN after the stack    Xiong 2020
///   deepnorm    x' = LN(a x + F(x))                      Wang 2022
///   branchnorm  x' = LN(x + alpha_t F(x))                Liu 2023, arXiv 2305.02790
class ResidualStack {
 public:
  /// `prefix`: "encoder" or "decoder". sublayers: names of the norms' owners in order, as in
  /// "encoder_l1_self_Wo". first_site: number of the stack's first residual in StepState's list.
  ResidualStack(const ModelOptions& options, ResidualScales scales, const std::string& prefix,
                const std::vector<std::string>& sublayers, int64_t first_site,
                ParameterSet& parameters);

  int64_t sites() const { return int64_t(sublayer_count_); }

  /// The stream that enters the first sublayer.
  ResidualStream begin(const Var& embedded) const;
  /// After sublayer i: branch = F(stream.x) without its last bias. The last one leaves in `x` what the
  /// stack returns.
  ResidualStream add(const ResidualStream& stream, size_t i, const Var& branch, const Parameter& bias,
                     const ResidualContext& context) const;

 private:
  struct Norm {
    Parameter *gamma, *beta;
  };
  ResidualNorm equation(size_t i, const ResidualContext& context) const;
  ResidualResult join(size_t i, const ResidualArguments& terms, const ResidualContext& context) const;

  ResidualKind kind_;
  ResidualScales scales_;
  size_t sublayer_count_;
  int64_t first_site_;
  std::vector<Norm> norms_;  // post-norm: of every sublayer; pre-norm: before each, then the top
};

}  // namespace bough
