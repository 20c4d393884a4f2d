#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/arena_share.h"
#include "core/parameters.h"

namespace bough {

/// What one update did, layer by layer. NaN or infinity where a number is.
struct LayerReport {
  std::vector<double> gradient_norms;  ///< of each layer: |gradient / target tokens|, before clipping
  std::vector<double> update_norms;    ///< of each layer: |theta_after - theta_before|; 0 when it was skipped
  std::vector<double> branch_ratios;   ///< of each residual site, see branch_ratios() below
  std::optional<double> model_update;  ///< see LayerNorms::output_change
};

/// The instruments of `log-layer-norms`. They read what an update leaves behind and change nothing: training has
/// the same bits with and without. All sums are taken on the backend, of each rank's share of the arenas; a few numbers
/// per layer come to the host. All ranks call alike.
class LayerNorms {
 public:
  /// `keeps_parameters`: takes memory for a copy of the parameters, which update norms need.
  LayerNorms(const ParameterSet& parameters, ArenaShare& share, bool keeps_parameters);

  /// The groups of parameters in forward order, see parameter_names::group_of.
  const std::vector<std::string>& layers() const { return layers_; }

  /// Norm of every layer's gradient, as this rank's share of the arena has it.
  std::vector<double> gradient_norms() const { return norms(parameters_.gradients(), {}, places_in_arena_); }

  void keep_parameters();                    ///< before the optimizer's update
  std::vector<double> update_norms() const;  ///< after it

  /// Keeps the first `rows` rows of what the decoder returned, until output_change.
  void keep_output(In output, int64_t rows);
  /// sqrt(sum over those rows of |new - kept|^2 / rows).
  double output_change(In output);

 private:
  std::vector<double> norms(In x, In y, In places) const;
  std::vector<double> square_sums_of(In x, In y, In places, Out sums) const;
  Tensor as_wide(In x) const;

  const ParameterSet& parameters_;
  ArenaShare& share_;
  std::vector<std::string> layers_;
  std::vector<size_t> layer_of_place_;
  Tensor places_in_arena_, places_in_kept_, sums_;  // (P, 2), (P, 2), (P) f64: of this rank
  Tensor kept_parameters_, kept_output_;
  int64_t kept_rows_ = 0;
};

/// Sums over the terms of every residual site, as Transformer::set_residual_sums has them: {sum of r, of r^2, of f, of
/// f^2} over all elements, r = residual_scale x [+ second], f = branch_scale F(x), with its bias, without dropout.
using TermSums = std::vector<std::array<double, 4>>;
/// sqrt(sum of f^2 / sum of r^2) of every site.
std::vector<double> branch_ratios(const TermSums& sums);

}  // namespace bough
