#include "optim/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bough {

Optimizer::Optimizer(const OptimizerOptions& o, ParameterSet& parameters, ArenaShare& share)
    : constants_{o.kind, o.beta1, o.beta2, o.epsilon, o.weight_decay}, parameters_(parameters), share_(share) {
  Backend& b = parameters.backend();
  const auto arena = [&] { return b.allocate_persistent({share.size()}, parameters.values().dtype()); };
  arenas_.parameters = share.mine(parameters.values());
  if (o.kind == OptimizerKind::adam) arenas_.first_moment = arena();
  if (o.kind != OptimizerKind::sgd) arenas_.second_moment = arena();
  if (o.ema_decay > 0) arenas_.average = arena();
  arenas_.denominators = b.allocate_persistent({2}, DType::f64);
  if (parameters.compute_copy()) arenas_.compute_copy = share.mine(parameters.compute_copy());
  square_sums_ = b.allocate_persistent({share.blocks()}, DType::f64);
  statistics_ = b.allocate_persistent({gradient_stat::count}, DType::f64);
  reset();
}

void Optimizer::reset_moments() {
  for (const Tensor* t : {&arenas_.first_moment, &arenas_.second_moment, &arenas_.denominators})
    if (*t) parameters_.backend().fill(*t, 0.0);
}

void Optimizer::rest_fixed_parameters() {
  if (!arenas_.first_moment) return;
  for (const ParameterPart& part : parameters_.parts())
    if (const Tensor mine = share_.part_of(arenas_.first_moment, part.first, part.size());
        mine && parameters_.is_fixed(part))
      parameters_.backend().fill(mine, 0.0);
}

void Optimizer::reset() {
  Backend& b = parameters_.backend();
  reset_moments();
  if (arenas_.average) b.accumulate(write_to(arenas_.average), arenas_.parameters);
}

void Optimizer::update(In update_state) {
  Backend& b = parameters_.backend();
  const Tensor gradient = share_.mine(parameters_.gradients());
  b.block_square_sums(share_.my_blocks(square_sums_), gradient);
  share_.gather_blocks(square_sums_);
  b.gradient_statistics(statistics_, square_sums_, update_state);
  b.optimizer_update(arenas_, gradient, statistics_, update_state, constants_);
  share_.gather(parameters_.values());
  if (parameters_.compute_copy()) share_.gather(parameters_.compute_copy());
}

void Optimizer::adapt_branch_scales(Out scales, In sums, In limits, In update_state) {
  constexpr double growth = 1.02;  // an update: quick beside learning, and one odd batch does little
  parameters_.backend().adapt_branch_scales(scales, sums, limits, statistics_, update_state, growth);
}

std::function<UpdateStatistics()> Optimizer::start_statistics() const {
  return [fetch = parameters_.backend().start_download(statistics_)] {
    std::array<double, gradient_stat::count> s{};
    fetch(s.data());
    return UpdateStatistics{s[gradient_stat::norm], s[gradient_stat::is_finite] != 0};
  };
}

const Tensor& Optimizer::best_parameters() const { return arenas_.average ? arenas_.average : arenas_.parameters; }

double Optimizer::small_moment_share() {
  if (constants_.kind != OptimizerKind::adam) return 0;
  std::array<double, 2> d{};
  parameters_.backend().download(d.data(), arenas_.denominators);
  if (d[1] == 0) return 0;
  std::vector<double> small(1);
  for (const auto& part : parameters_.parts()) {  // one at a time: a copy of all might not fit into the host's memory
    const Tensor mine = share_.part_of(arenas_.second_moment, part.first, part.size());
    if (!mine) continue;
    for (const float v : parameters_.download(mine)) small[0] += std::sqrt(double(v) / d[1]) < constants_.epsilon;
  }
  share_.ranks().add_up(small);
  return small[0] / double(parameters_.trained_elements());
}

}  // namespace bough
