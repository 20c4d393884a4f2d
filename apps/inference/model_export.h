#pragma once
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

/// Turns a model into one that a plain Post-LN or Pre-LN Transformer computes, exactly up to rounding and the norm's
/// epsilon; options and arrays change. post-ln and pre-ln stay as they are.
///   deepnorm, branchnorm   LN(a x + c F(x)) = LN(x + (c/a) F(x)): last matrix and bias of F times c/a
///   admin                  omega goes into gamma and beta of the norm that made x, and out of the matrices that read
///   x:
///                          W diag(1/omega). The first sublayer has no omega.
/// Throws Error for the other kinds (more norms, streams or sums than either has), and for an omega too close to 0.
void make_plain(ModelOptions& options, std::vector<ModelArray>& arrays);

}  // namespace bough
