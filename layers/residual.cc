#include "layers/residual.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "layers/parameter_names.h"

namespace bough {
namespace {

Parameter* declare_vector(ParameterSet& parameters, const std::string& name, int64_t width, double start) {
  return &parameters.declare_vector({{name, 1, width, false, constant(start)}});
}

/// DeepNorm's constants of a stack, see encoder_scales.
struct DeepNorm {
  double a, b;
};
DeepNorm deepnorm_of_encoder(const ModelOptions& o) {
  const double n = o.encoder_layers, m = o.decoder_layers, depth = std::pow(n * n * n * n * m, 1.0 / 16);
  return {0.81 * depth, 0.87 / depth};
}
DeepNorm deepnorm_of_decoder(const ModelOptions& o) {
  const double m = o.decoder_layers;
  return {std::pow(3 * m, 0.25), std::pow(12 * m, -0.25)};
}

ResidualScales deepnorm_scales(const ModelOptions& o, const DeepNorm& constants) {
  const double gain = o.has_deepnorm_init() ? constants.b : 1;
  return {o.has_deepnorm_residual() ? constants.a : 1, gain, gain};
}

}  // namespace

ResidualScales encoder_scales(const ModelOptions& o) {
  const double n = o.encoder_layers, m = o.decoder_layers;
  if (o.traits().depth_constants == DepthConstants::sub_ln)
    return {1, std::sqrt(std::log(3 * m) * std::log(2 * n) / 3), 1};
  return deepnorm_scales(o, deepnorm_of_encoder(o));
}

ResidualScales decoder_scales(const ModelOptions& o) {
  const double m = o.decoder_layers;
  if (o.traits().depth_constants == DepthConstants::sub_ln) return {1, std::sqrt(std::log(3 * m)), 1};
  return deepnorm_scales(o, deepnorm_of_decoder(o));
}

std::vector<BranchLimits> branch_limits(const ModelOptions& o) {
  const auto limits = [&](double a, int layers, int sublayers) {
    const double largest = std::sqrt(2.0 / sublayers), first_share = std::min(1.0, 250.0 / layers / layers);
    const std::vector<double>& given = o.branchnorm_bound;
    return BranchLimits{std::min(1 / a, 1.0), given.empty() ? largest * first_share : given.front(),
                        given.empty() ? largest : given.back()};
  };
  const int encoder_sublayers = 2 * o.encoder_layers, decoder_sublayers = 3 * o.decoder_layers;
  std::vector<BranchLimits> all(size_t(encoder_sublayers),
                                limits(deepnorm_of_encoder(o).a, o.encoder_layers, encoder_sublayers));
  all.resize(all.size() + size_t(decoder_sublayers),
             limits(deepnorm_of_decoder(o).a, o.decoder_layers, decoder_sublayers));
  return all;
}

std::vector<double> branch_scales(const ModelOptions& o, const std::vector<int>& site_layers, int64_t progress) {
  std::vector<double> scales(site_layers.size(), 1.0);
  const double period = double(o.branchnorm_max_step.count);
  if (o.has_bounded_branches()) {
    if (!o.branchnorm_scales.empty()) return o.branchnorm_scales;
    const std::vector<BranchLimits> limits = branch_limits(o);
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = limits[i].smallest;
    return scales;
  }
  if (!o.traits().has_branch_scales || period <= 0) return scales;
  const double t = double(progress), r = std::min(t / period, 1.0);
  for (size_t i = 0; i < scales.size(); ++i) {
    switch (o.branchnorm_schedule) {
      case BranchSchedule::linear:
        scales[i] = r;
        break;
      case BranchSchedule::sqrt:
        scales[i] = std::sqrt(r);
        break;
      case BranchSchedule::cosine:
        scales[i] = (1 - std::cos(std::numbers::pi * r)) / 2;
        break;
      case BranchSchedule::square:
        scales[i] = std::pow(std::min(t / (period * site_layers[i]), 1.0), 2);
        break;
      case BranchSchedule::bounded:
        break;  // above
      case BranchSchedule::by_layer:
        scales[i] = std::min(t / (period * site_layers[i]), 1.0);
        break;
    }
  }
  return scales;
}

std::vector<double> admin_omegas(double input_variance, const std::vector<double>& branch_variances) {
  std::vector<double> omegas{1};
  double variance = input_variance;
  for (size_t i = 0; i + 1 < branch_variances.size(); ++i) omegas.push_back(std::sqrt(variance += branch_variances[i]));
  return omegas;
}

std::vector<Var> ResidualStream::vars() const { return second ? std::vector<Var>{x, second} : std::vector<Var>{x}; }

ResidualStream ResidualStream::from(const std::vector<Var>& vars) {
  return {vars[0], vars.size() > 1 ? vars[1] : Var(), {}};
}

void ResidualStack::Norm::normalise(ResidualArguments& a) const {
  if (!gamma) return;
  a.gamma = gamma->on(a.x.tape());
  a.beta = beta->on(a.x.tape());
}

ResidualStack::ResidualStack(const ModelOptions& options, ResidualScales scales, const std::string& prefix, int layers,
                             const std::vector<Sublayer>& sublayers, int64_t first_site, ParameterSet& parameters)
    : kind_(options.traits()),
      splits_(options.splits_residual()),
      scales_(scales),
      layers_(size_t(layers)),
      per_layer_(sublayers.size() / size_t(layers)),
      first_site_(first_site) {
  declare(prefix, sublayers, options.model_dim, parameters);
  if (kind_.learned == LearnedScale::history) declare_history(prefix, options.model_dim, parameters);
}

void ResidualStack::declare(const std::string& prefix, const std::vector<Sublayer>& sublayers, int64_t width,
                            ParameterSet& parameters) {
  const auto norm = [&](const std::string& name, int64_t size, const char* suffix) -> Norm {
    return {declare_vector(parameters, parameter_names::norm_scale(name, suffix), size, 1),
            declare_vector(parameters, parameter_names::norm_bias(name, suffix), size, 0)};
  };
  for (size_t i = 0; i < sublayers.size(); ++i) {
    const auto& [site, inner_width] = sublayers[i];
    const bool is_before = kind_.norm == NormPlace::before_branch;
    const std::string owner = parameter_names::norm_owner(site, is_before);
    if (kind_.norm != NormPlace::nowhere) norms_.push_back(norm(owner, width, is_before ? "_pre" : ""));
    if (kind_.has_inner_norm) inner_norms_.push_back(norm(owner, inner_width, "_inner"));
    if (kind_.learned == LearnedScale::residual)
      omegas_.push_back(i == 0 ? nullptr : declare_vector(parameters, parameter_names::omega(site), width, 1));
    if (kind_.learned == LearnedScale::branch && starts_layer(i))
      alphas_.push_back(
          declare_vector(parameters, parameter_names::layer(prefix, int(i / per_layer_) + 1) + "_rezero_alpha", 1, 0));
  }
  if (kind_.has_top_norm) top_ = norm(parameter_names::top(prefix), width, "");
}

/// The first sum is of y_0 alone; its weight is learned as the others are.
void ResidualStack::declare_history(const std::string& prefix, int64_t width, ParameterSet& parameters) {
  for (size_t l = 1; l <= layers_ + 1; ++l) {
    const std::string name =
        (l <= layers_ ? parameter_names::layer(prefix, int(l)) : parameter_names::top(prefix)) + "_dlcl";
    if (l <= layers_)
      history_norms_.push_back({declare_vector(parameters, parameter_names::norm_scale(name), width, 1),
                                declare_vector(parameters, parameter_names::norm_bias(name), width, 0)});
    weights_.emplace_back();
    for (size_t k = 0; k < l; ++k)
      weights_.back().push_back(declare_vector(parameters, fmt::format("{}_{}", name, k), 1, 1.0 / double(l)));
  }
}

const ResidualStack::Norm& ResidualStack::norm_after(size_t i) const {
  static const Norm none;
  switch (kind_.norm) {
    case NormPlace::nowhere:
      return none;
    case NormPlace::after_sum:
      return norms_[i];
    case NormPlace::before_branch:
      break;
  }
  if (sums_end(i) && !history_norms_.empty()) return history_norms_[i / per_layer_];
  return is_last(i) ? top_ : norms_[i + 1];
}

ResidualNorm ResidualStack::equation(size_t i, const ResidualContext& context) const {
  ResidualNorm p;
  p.dropout = context.dropout;
  p.residual_scale.constant = scales_.residual_scale;
  if (kind_.has_branch_scales) {
    p.branch_scale.tensor = context.branch_scales.words;
    p.branch_scale.word = context.branch_scales.first + first_site_ + int64_t(i);
  }
  return p;
}

/// One step of the residual stream, as hi + lo where options and backend ask for it.
ResidualResult ResidualStack::fused(ResidualArguments a, const ResidualNorm& p) const {
  a.splits = splits_ && a.x.tape().backend.compute_dtype() == DType::bf16;
  return residual_norm(a, p);
}

/// The equation, and the sizes of its two terms where they are wanted.
ResidualResult ResidualStack::join(size_t i, ResidualArguments a, const ResidualContext& context) const {
  if (context.row_sums) {
    const int64_t rows = a.x.rows();
    a.row_sums = context.row_sums.view(int64_t(i) * rows * 4, {rows, 4});
    a.segments = context.segments;
  }
  return fused(a, equation(i, context));
}

ResidualStream ResidualStack::begin(const Var& embedded) const {
  if (kind_.learned == LearnedScale::history) return combine({embedded});
  if (kind_.second == SecondStream::never_normalised) return {embedded, embedded, {}};
  if (kind_.norm != NormPlace::before_branch) return {embedded, {}, {}};
  ResidualArguments a{.x = embedded};
  norms_[0].normalise(a);
  return {residual_norm(a, {}).y, embedded, {}};
}

Var ResidualStack::before_output(size_t i, const Var& inner) const {
  if (inner_norms_.empty()) return inner;
  ResidualArguments a{.x = inner};
  inner_norms_[i].normalise(a);
  return residual_norm(a, {}).y;
}

ResidualStream ResidualStack::add(const ResidualStream& stream, size_t i, const Var& branch, const Parameter* bias,
                                  const ResidualContext& context) const {
  Tape& tape = branch.tape();
  const bool has_sum = kind_.second == SecondStream::sum;
  ResidualArguments terms{.x = has_sum ? stream.second : stream.x,
                          .branch = branch,
                          .bias = bias ? bias->on(tape) : Var(),
                          .keep_sum = has_sum};
  const ResidualArguments branch_alone = terms;
  if (!omegas_.empty() && omegas_[i]) terms.residual_parameter = omegas_[i]->on(tape);
  if (!alphas_.empty()) terms.branch_parameter = alphas_[i / per_layer_]->on(tape);
  if (kind_.second == SecondStream::layer_input && ends_layer(i)) terms.second = stream.second;
  norm_after(i).normalise(terms);
  const ResidualResult result = join(i, terms, context);
  switch (kind_.second) {
    case SecondStream::sum:
      return {is_last(i) && has_open_end() ? result.sum : result.y, sums_end(i) ? Var() : result.sum, {}};
    case SecondStream::layer_input:
      return {result.y, ends_layer(i) ? Var() : starts_layer(i) ? stream.x : stream.second, {}};
    case SecondStream::never_normalised:
      return dual(stream, result.y, branch_alone, is_last(i), context.dropout);
    case SecondStream::none:
      break;
  }
  return {kind_.norm == NormPlace::nowhere ? result.sum : result.y, {}, {}};
}

/// ResiDual's second stream z' = z + F(x), with the same dropout as the first; at the end x + LN(z).
ResidualStream ResidualStack::dual(const ResidualStream& stream, const Var& x, ResidualArguments terms, bool is_last,
                                   const Dropout& dropout) const {
  terms.x = stream.second;
  if (is_last) top_.normalise(terms);
  const ResidualResult z = fused(terms, {.dropout = dropout});
  if (!is_last) return {x, z.sum, {}};
  return {fused({.x = x, .second = z.y}, {}).sum, {}, {}};
}

ResidualStream ResidualStack::end_layer(const ResidualStream& before, ResidualStream behind) const {
  if (kind_.learned != LearnedScale::history) return behind;
  std::vector<Var> history = before.history;
  history.push_back(behind.x);
  return combine(std::move(history));
}

/// DLCL's sum over everything so far, two terms a kernel, and the next layer's first norm.
ResidualStream ResidualStack::combine(std::vector<Var> history) const {
  Tape& tape = history.front().tape();
  const size_t count = history.size(), layer = count - 1;
  ResidualResult result;
  for (size_t k = 0; k < count; k += 2) {
    ResidualArguments a{.x = history[k], .second = result.sum, .residual_parameter = weights_[layer][k]->on(tape)};
    if (k + 1 < count) {
      a.branch = history[k + 1];
      a.branch_parameter = weights_[layer][k + 1]->on(tape);
    }
    const bool is_whole = k + 2 >= count;
    if (is_whole && layer < layers_) {
      norms_[layer * per_layer_].normalise(a);
      a.keep_sum = true;
    }
    result = fused(a, {});
  }
  if (layer == layers_) return {result.sum, {}, {}};
  return {result.y, result.sum, std::move(history)};
}

}  // namespace bough
