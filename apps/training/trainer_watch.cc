// What a trainer makes of what its updates say: skipped ones, divergence, depth, alpha.
#include <algorithm>
#include <cmath>

#include "apps/training/depth_watch.h"
#include "apps/training/trainer.h"
#include "core/base/log.h"

namespace bough {
namespace {

/// "decoder_l3 (12.5)". The layer with the largest gradient norm; the last in forward order of those whose norm is not
/// finite, where the trouble came from, if there are such.
std::string worst_layer(const std::vector<std::string>& layers, const std::vector<double>& norms) {
  size_t worst = 0;
  for (size_t i = 0; i < norms.size(); ++i)
    if (!std::isfinite(norms[i]) || (std::isfinite(norms[worst]) && norms[i] > norms[worst])) worst = i;
  return fmt::format("{} ({:.3g})", layers[worst], norms[worst]);
}

}  // namespace

void Trainer::count_skipped(const UpdateResult& result, int64_t update) {
  if (!result.statistics.is_finite) {
    ++state_.skipped_updates;
    if (++state_.skipped_in_a_row >= options_.run.divergence_updates)
      fail_diverged("the gradient was not finite", result, update);
    log::warn("[train] update {}: the gradient is not finite; the update was skipped ({} so far)", update,
              state_.skipped_updates);
    return;
  }
  state_.skipped_in_a_row = 0;
  const double window = double(options_.display.gradient_norm_average_window);
  const double rate = 2.0 / (std::min(window, double(++state_.norm_count)) + 1);
  state_.gradient_norm += rate * (result.statistics.gradient_norm - state_.gradient_norm);
}

/// The other half of divergence-threshold: losses that are high, though finite.
void Trainer::watch_loss(const UpdateResult& result, int64_t update) {
  const double threshold = options_.run.divergence_threshold;
  if (!std::isfinite(result.loss)) return;
  const bool is_high = threshold > 0 && result.loss > threshold * double(result.target_tokens);
  state_.diverged_in_a_row = is_high ? state_.diverged_in_a_row + 1 : 0;
  if (state_.diverged_in_a_row >= options_.run.divergence_updates)
    fail_diverged(fmt::format("the loss was above divergence-threshold, {} nats per target token,", threshold), result,
                  update);
}

void Trainer::fail_diverged(const std::string& what, const UpdateResult& result, int64_t update) {
  const std::string sentence = fmt::format(
      "train: the run has diverged: {} in {} updates in a row (at update {}: loss {:.4g} per target token, largest "
      "gradient norm in {}); lower learn-rate, raise lr-warmup, or use transformer-residual: branchnorm",
      what, options_.run.divergence_updates, update, result.loss / double(result.target_tokens),
      worst_layer(model_->layers(), model_->gradient_norms(result.target_tokens)));
  log_->divergence(state_, sentence);
  throw Diverged(sentence, std::source_location::current());
}

/// Says at the start that alpha will not reach 1, where the stop criterion and T are in the same unit.
void Trainer::warn_of_unfinished_ramp() const {
  const ModelOptions& o = options_.model;
  if (!o.traits().has_branch_scales || o.has_bounded_branches()) return;
  const StopCriteria stop = options_.run.stop_criteria();
  const SchedulePeriod end{o.ramp_end(), o.branchnorm_max_step.unit};
  const int64_t last = end.unit == ScheduleUnit::updates ? stop.updates : stop.labels;
  if (last == 0 || last >= end.count) return;
  // Not count * last / end.count: a few Gt times a few Gt is beyond 64 bits.
  const int64_t fitting = last / (end.count / o.branchnorm_max_step.count);
  log::warn(
      "[train] alpha of the slowest layer reaches 1 at {}, but the run ends at {}: its model will not be a "
      "plain Post-LN one. Lower branchnorm-max-step to {} or less, or train longer",
      format_value(end), format_value(SchedulePeriod{last, end.unit}), format_value(SchedulePeriod{fitting, end.unit}));
}

void Trainer::tell_final_alpha() const {
  const double alpha = model_->branch_scale();
  if (alpha == 1) return;
  if (options_.model.has_bounded_branches())
    log::info(
        "[train] the smallest alpha is {:.4f}: bough-average --export folds all of them, for a plain Post-LN model",
        alpha);
  else
    log::warn(
        "[train] the run ended at alpha {:.4f}; branchnorm is Post-LN from alpha 1 on. Train longer, or lower "
        "branchnorm-max-step",
        alpha);
}

/// Gradients and sums over residual terms are still those of the last update.
void Trainer::watch_depth() const {
  for (const std::string& warning : depth_warnings(
           options_.model, model_->layers(), model_->gradient_norms(last_target_tokens_), model_->branch_ratios()))
    log::warn("[depth] {}", warning);
}

}  // namespace bough
