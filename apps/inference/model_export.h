#pragma once
#include <map>
#include <string>
#include <vector>

#include "layers/residual.h"

namespace bough {

/// An array of a model file, in the file's layout: matrices (in, out), vectors (1, n).
struct ModelArray {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// What folding the residual scales multiplies arrays by: c/a for the last matrix and bias of every branch, by name.
/// branch_scales: c of every site, see saved_branch_scales.
std::map<std::string, double> fold_factors(const ModelOptions& options, const std::vector<double>& branch_scales);

/// The options of a branchnorm or deepnorm model whose arrays were multiplied by its fold_factors.
ModelOptions plain_post_ln(ModelOptions options);

/// Turns a model into one that a plain Post-LN or Pre-LN Transformer computes, exactly up to rounding and the norm's
/// epsilon; options and arrays change. post-ln and pre-ln stay as they are.
///   deepnorm, branchnorm   LN(a x + c F(x)) = LN(x + (c/a) F(x)): last matrix and bias of F times c/a
///   admin                  omega goes into gamma and beta of the norm that made x, and out of the matrices that read
///   x:
///                          W diag(1/omega). The first sublayer has no omega.
/// Throws Error for the other kinds (more norms, streams or sums than either has), and for an omega too close to 0.
void make_plain(ModelOptions& options, std::vector<ModelArray>& arrays, const std::vector<double>& branch_scales);

}  // namespace bough
