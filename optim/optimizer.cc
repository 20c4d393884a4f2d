#include "optim/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bough {

Optimizer::Optimizer(const OptimizerOptions& o, ParameterSet& parameters, ArenaShare& share)
    : constants_{o.kind, o.beta1, o.beta2, o.epsilon, o.weight_decay}, parameters_(parameters), share_(share) {
  Backend& b = parameters.backend();
  const auto arena = [&] { return b.allocate_persistent({share.size()}, parameters.kept_values().dtype()); };
  if (o.kind == OptimizerKind::adam) arenas_.first_moment = arena();
  if (o.kind != OptimizerKind::sgd) arenas_.second_moment = arena();
  if (o.ema_decay > 0) arenas_.average = arena();
  arenas_.denominators = b.allocate_persistent({2}, DType::f64);
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
  const std::vector<ArenaPiece> moments = share_.pieces(arenas_.first_moment);
  for (const ParameterPart& part : parameters_.parts())
    if (parameters_.is_fixed(part))
      for (const ArenaPiece& mine : parts_within(moments, part.first, part.size()))
        parameters_.backend().fill(mine.values, 0.0);
}

void Optimizer::reset() {
  Backend& b = parameters_.backend();
  reset_moments();
  if (!arenas_.average) return;
  for (int64_t round = 0; round < share_.rounds(); ++round)
    b.accumulate(write_to(share_.piece_of_slice(arenas_.average, round)), own_values(round));
}

Tensor Optimizer::own_values(int64_t round) const {
  const Tensor& values = parameters_.kept_values();
  return parameters_.has_all_values() ? share_.piece_of_arena(values, round) : share_.piece_of_slice(values, round);
}

/// This rank's piece of a round; the first one steps the denominators.
OptimizerArenas Optimizer::arenas_of(int64_t round) const {
  return {.parameters = own_values(round),
          .first_moment = share_.piece_of_slice(arenas_.first_moment, round),
          .second_moment = share_.piece_of_slice(arenas_.second_moment, round),
          .average = share_.piece_of_slice(arenas_.average, round),
          .denominators = arenas_.denominators,
          .compute_copy = share_.piece_of_arena(parameters_.compute_copy(), round),
          .steps_denominators = round == 0};
}

void Optimizer::update(In update_state) {
  Backend& b = parameters_.backend();
  const auto gradient = [this](int64_t round) { return share_.piece_of_arena(parameters_.gradients(), round); };
  for (int64_t round = 0; round < share_.rounds(); ++round)
    b.block_square_sums(share_.my_blocks(square_sums_, round), gradient(round));
  share_.gather_blocks(square_sums_);
  b.gradient_statistics(statistics_, square_sums_, update_state);
  for (int64_t round = 0; round < share_.rounds(); ++round)
    b.optimizer_update(arenas_of(round), gradient(round), statistics_, update_state, constants_);
  share_.gather(parameters_.compute_copy() ? parameters_.compute_copy() : parameters_.values());
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

double Optimizer::small_moment_share() {
  if (constants_.kind != OptimizerKind::adam) return 0;
  std::array<double, 2> d{};
  parameters_.backend().download(d.data(), arenas_.denominators);
  if (d[1] == 0) return 0;
  std::vector<double> small(1);
  const std::vector<ArenaPiece> moments = share_.pieces(arenas_.second_moment);
  for (const auto& part : parameters_.parts()) {  // one at a time: a copy of all might not fit into the host's memory
    for (const ArenaPiece& mine : parts_within(moments, part.first, part.size()))
      for (const float v : parameters_.download(mine.values))
        small[0] += std::sqrt(double(v) / d[1]) < constants_.epsilon;
  }
  share_.ranks().add_up(small);
  return small[0] / double(parameters_.trained_elements());
}

}  // namespace bough
