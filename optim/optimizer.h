#pragma once
#include <functional>

#include "core/arena_share.h"
#include "core/parameters.h"
#include "optim/optimizer_options.h"

namespace bough {

/// What one update did, on the host.
struct UpdateStatistics {
  double gradient_norm = 0;  ///< of the gradient per target token, before clipping
  bool is_finite = true;     ///< false: the update was skipped
};

/// Adam, Adagrad or SGD over the flat arenas of a ParameterSet, with clipping and the exponential
/// average of parameters. Reads learning rate, token count, clip norm and average rate from UpdateState.
/// Each rank works on its share of the arenas.
class Optimizer {
 public:
  /// Takes memory for the moments and the average of this rank's share; `parameters` must be allocated, and both
  /// outlive the object.
  Optimizer(const OptimizerOptions& options, ParameterSet& parameters, ArenaShare& share);

  /// Moments 0, average = parameters. After parameters were initialised or loaded.
  void reset();
  /// Moments 0, with their bias corrections.
  void reset_moments();
  /// First moments of fixed parameters 0, so that a state in which they were trained moves them no more.
  void rest_fixed_parameters();

  /// Applies the gradient sums in the share of parameters.gradients(), and gathers all parameters in the compute type;
  /// skips when one is not finite, on any rank.
  void update(In update_state);
  /// After update(): see the kernel. Nothing where that was skipped.
  void adapt_branch_scales(Out scales, In sums, In limits, In update_state);
  /// Of the last update: starts to fetch them. Calling what is returned waits for that update, not for later ones.
  std::function<UpdateStatistics()> start_statistics() const;

  /// This rank's piece of the parameters of a round, which update() changes.
  Tensor own_values(int64_t round) const;
  /// What this rank has of the state: slices, see ArenaShare, empty where there is no such state; and the denominators.
  /// The parameters are those of the ParameterSet.
  const OptimizerArenas& arenas() const { return arenas_; }
  /// Share of Adam's sqrt(v) that is below epsilon, where epsilon rules the update.
  double small_moment_share();

 private:
  OptimizerArenas arenas_of(int64_t round) const;

  OptimizerConstants constants_;
  ParameterSet& parameters_;
  ArenaShare& share_;
  OptimizerArenas arenas_;
  Tensor square_sums_, statistics_;
};

}  // namespace bough
