#include "layers/residual.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bough {
namespace {

bool has_deepnorm_init(const ModelOptions& o) {
  return o.residual == ResidualKind::deepnorm ||
         (o.residual == ResidualKind::branchnorm && o.branchnorm_init == BranchInit::deepnorm);
}

ResidualScales scales(const ModelOptions& o, double alpha, double beta) {
  return {o.residual == ResidualKind::deepnorm ? alpha : 1.0, has_deepnorm_init(o) ? beta : 1.0};
}

}  // namespace

ResidualScales encoder_scales(const ModelOptions& o) {
  const double n = o.encoder_layers, m = o.decoder_layers;
  const double depth = std::pow(n * n * n * n * m, 1.0 / 16);
  return scales(o, 0.81 * depth, 0.87 / depth);
}

ResidualScales decoder_scales(const ModelOptions& o) {
  const double m = o.decoder_layers;
  return scales(o, std::pow(3 * m, 0.25), std::pow(12 * m, -0.25));
}

std::vector<double> branch_scales(const ModelOptions& o, const std::vector<int>& site_layers,
                                  int64_t progress) {
  std::vector<double> scales(site_layers.size(), 1.0);
  const double period = double(o.branchnorm_max_step.count);
  if (o.residual != ResidualKind::branchnorm || period <= 0) return scales;
  const double t = double(progress), r = std::min(t / period, 1.0);
  for (size_t i = 0; i < scales.size(); ++i) {
    switch (o.branchnorm_schedule) {
      case BranchSchedule::linear: scales[i] = r; break;
      case BranchSchedule::sqrt: scales[i] = std::sqrt(r); break;
      case BranchSchedule::cosine: scales[i] = (1 - std::cos(std::numbers::pi * r)) / 2; break;
      case BranchSchedule::by_layer: scales[i] = std::min(t / (period * site_layers[i]), 1.0); break;
    }
  }
  return scales;
}

std::vector<Var> ResidualStream::vars() const {
  return sum ? std::vector<Var>{x, sum} : std::vector<Var>{x};
}

ResidualStream ResidualStream::from(const std::vector<Var>& vars) {
  return {vars[0], vars.size() > 1 ? vars[1] : Var()};
}

ResidualStack::ResidualStack(const ModelOptions& options, ResidualScales scales,
                             const std::string& prefix, const std::vector<std::string>& sublayers,
                             int64_t first_site, ParameterSet& parameters)
    : kind_(options.residual),
      scales_(scales),
      sublayer_count_(sublayers.size()),
      first_site_(first_site) {
  const auto declare = [&](const std::string& name, const std::string& suffix) {
    const auto vector = [&](const char* what, double start) -> Parameter* {
      return &parameters.declare_vector(
          {{name + what + suffix, 1, options.model_dim, false, constant(start)}});
    };
    Parameter* const gamma = vector("_ln_scale", 1);
    norms_.push_back({gamma, vector("_ln_bias", 0)});
  };
  const bool is_pre = kind_ == ResidualKind::pre_ln;
  for (const auto& name : sublayers) declare(name, is_pre ? "_pre" : "");
  if (is_pre) declare(prefix + "_top", "");
}

ResidualNorm ResidualStack::equation(size_t i, const ResidualContext& context) const {
  ResidualNorm p;
  p.dropout = context.dropout;
  p.residual_scale.constant = scales_.residual_scale;
  if (kind_ == ResidualKind::branchnorm) {
    p.branch_scale.tensor = context.step_state;
    p.branch_scale.word = StepState::first_branch_scale + first_site_ + int64_t(i);
  }
  return p;
}

/// The equation, and the sizes of its two terms where they are wanted.
ResidualResult ResidualStack::join(size_t i, const ResidualArguments& a,
                                   const ResidualContext& context) const {
  const ResidualNorm p = equation(i, context);
  if (context.square_sums) {
    const int64_t site = first_site_ + int64_t(i);
    const ResidualInputs terms{a.x.value(), a.second.value(), a.branch.value(), a.bias.value(), {}, {}};
    a.x.tape().backend.residual_square_sums(add_to(context.square_sums.view(3 * site, {3})), terms, p,
                                            context.segments);
  }
  return residual_norm(a, p);
}

ResidualStream ResidualStack::begin(const Var& embedded) const {
  if (kind_ != ResidualKind::pre_ln) return {embedded, {}};
  Tape& tape = embedded.tape();
  const auto normed = residual_norm(
      {.x = embedded, .gamma = norms_[0].gamma->on(tape), .beta = norms_[0].beta->on(tape)}, {});
  return {normed.y, embedded};
}

ResidualStream ResidualStack::add(const ResidualStream& stream, size_t i, const Var& branch,
                                  const Parameter& bias, const ResidualContext& context) const {
  Tape& tape = branch.tape();
  const bool is_pre = kind_ == ResidualKind::pre_ln;
  const Norm& norm = norms_[is_pre ? i + 1 : i];
  const bool is_last = i + 1 == sublayer_count_;
  const auto result = join(i,
                           {.x = is_pre ? stream.sum : stream.x,
                            .branch = branch,
                            .bias = bias.on(tape),
                            .gamma = norm.gamma->on(tape),
                            .beta = norm.beta->on(tape),
                            .keep_sum = is_pre},
                           context);
  return {result.y, is_pre && !is_last ? result.sum : Var()};
}

}  // namespace bough
