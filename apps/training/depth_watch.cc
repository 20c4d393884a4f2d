#include "apps/training/depth_watch.h"

#include <algorithm>
#include <cmath>

#include "layers/parameter_names.h"

namespace bough {
namespace {

constexpr double least_share = 1e-3;

/// Whether all of the gradient passes through every norm on its way down.
bool is_post_norm(const ResidualTraits& kind) {
  return kind.norm == NormPlace::after_sum && kind.second == SecondStream::none;
}

std::string advice(const ModelOptions& o) {
  if (!o.traits().has_branch_scales) return "use transformer-residual branchnorm, or a lower learn-rate";
  if (o.branchnorm_schedule != BranchSchedule::bounded)
    return "use branchnorm-schedule bounded, or a lower learn-rate with a longer branchnorm-max-step";
  return "lower learn-rate or branchnorm-bound, or raise branchnorm-max-step";
}

/// The layer, from 1, in which the gradient on its way down falls below least_share of what entered the stack at the
/// top; 0: in none.
int layer_that_starves(const double* ratios, int layers, int per_layer) {
  double share = 1;
  for (int layer = layers; layer >= 1; --layer)
    for (int i = per_layer; i-- > 0;) {
      const double r = ratios[(layer - 1) * per_layer + i];
      if (std::isfinite(r)) share /= std::sqrt(1 + r * r);
      if (share < least_share) return layer;
    }
  return 0;
}

}  // namespace

std::vector<std::string> depth_warnings(const ModelOptions& o, const std::vector<std::string>& layers,
                                        const std::vector<double>& gradient_norms, const std::vector<double>& ratios) {
  std::vector<std::string> warnings;
  const auto norm_of = [&](const std::string& layer) {
    const auto at = std::find(layers.begin(), layers.end(), layer);
    return at == layers.end() ? 0.0 : gradient_norms[size_t(at - layers.begin())];
  };
  const auto judge = [&](const char* stack, int depth, int per_layer, size_t first_site) {
    const double first = norm_of(parameter_names::layer(stack, 1)),
                 last = norm_of(parameter_names::layer(stack, depth));
    if (first < least_share * last)  // NaN: another warning's subject
      warnings.push_back(fmt::format("{}: the gradient of layer 1 is {:.1e} of layer {}'s, must be above {:g}; {}",
                                     stack, first / last, depth, least_share, advice(o)));
    else if (const int layer = is_post_norm(o.traits()) && !ratios.empty()
                                   ? layer_that_starves(&ratios[first_site], depth, per_layer)
                                   : 0;
             layer > 0)
      warnings.push_back(
          fmt::format("{}: branches are so large beside their residuals that layers 1 to {} get below "
                      "{:g} of the gradient; {}",
                      stack, layer, least_share, advice(o)));
  };
  judge(parameter_names::encoder, o.encoder_layers, 2, 0);
  judge(parameter_names::decoder, o.decoder_layers, 3, size_t(2 * o.encoder_layers));
  return warnings;
}

}  // namespace bough
