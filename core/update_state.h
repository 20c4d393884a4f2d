#pragma once
#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace bough {

/// Everything that changes from update to update, in 32-bit words of one small i32 tensor on the backend,
/// so that a captured CUDA graph reads it rather than baking it in. Filled on the host in f64, rounded
/// once. Words are floats or integers by position; `branch_scale` is followed by one float for each
/// residual site of the model, in site order.
struct UpdateState {
  enum Word : int64_t {
    dropout_key_low,    ///< u32
    dropout_key_high,   ///< u32
    learning_rate,      ///< f32
    inverse_tokens,     ///< f32: 1 / target tokens of the whole update
    clip_norm,          ///< f32: 0 = off
    average_rate,       ///< f32: weight of the new parameters in the exponential average; 0 = off
    bound_share,        ///< f32 in [0, 1]: how far adapt_branch_scales is on the way from its first bound to its last
    first_branch_scale  ///< f32...: alpha_t of every residual site
  };
  uint64_t seed = 0;
  int64_t update = 0;  ///< 1, 2, ...: the update these values are for
  double lr = 0, tokens = 1, clip = 0, average = 0, bound = 0;
  std::vector<double> branch_scales;

  /// Size of the tensor in 32-bit words.
  int64_t words() const { return first_branch_scale + int64_t(branch_scales.size()); }
  /// The words as they lie on the backend.
  std::vector<int32_t> pack() const;
};

/// A dropout site: which elements are dropped is a function of UpdateState's key, `site`, the row's
/// number within the update and the column (core/base/random.h).
struct Dropout {
  double probability = 0;  ///< of zeroing, in [0, 1)
  uint32_t site = 0;       ///< fixed when the model is built
  Tensor state;            ///< UpdateState words
  Tensor first_row;        ///< (1) i32: number within the update of the tensor's row 0
  explicit operator bool() const { return probability > 0; }
};

/// A factor: constant * (tensor ? tensor[word or column] : 1).
struct Scale {
  double constant = 1;
  Tensor tensor;      ///< absent; UpdateState words (i32, one float at `word`); (1) or (C) a parameter
  int64_t word = -1;  ///< the UpdateState word, or -1 when `tensor` is a parameter
};

}  // namespace bough
