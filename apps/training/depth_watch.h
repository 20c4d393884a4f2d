#pragma once
#include <string>
#include <vector>

#include "apps/training/layer_norms.h"
#include "layers/model_options.h"

namespace bough {

/// What the sublayers of a deep model say of themselves at a validation, judged: one sentence for every stack whose
/// lowest layers get next to nothing to learn from, that is, where
///   the gradient of its first layer is below 1e-3 of its last one's (`layers`, `gradient_norms`: LayerNorms::layers),
///   or the branches are so large that it must fall as far: a post-norm residual passes 1/sqrt(1 + r^2) of it on, r the
///   sublayer's branch / residual (`ratios`, in the order of residual sites; none: not measured).
std::vector<std::string> depth_warnings(const ModelOptions& options, const std::vector<std::string>& layers,
                                        const std::vector<double>& gradient_norms, const std::vector<double>& ratios);

}  // namespace bough
