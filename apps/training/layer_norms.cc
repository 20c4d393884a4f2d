#include "apps/training/layer_norms.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "layers/parameter_names.h"

namespace bough {

namespace names = parameter_names;

namespace {

constexpr int64_t place_elements = 1 << 16;

/// In forward order: stack, layer in the stack (a norm on top of it comes last).
std::tuple<int, int> place_of(const std::string& layer) {
  constexpr int top = 1 << 30;
  if (layer == names::embedding_group) return {0, 0};
  if (layer == names::output_group) return {3, 0};
  const int stack = layer.starts_with(names::encoder) ? 1 : 2;
  const size_t number = layer.rfind("_l") + 2;
  return {stack,
          layer == names::top(stack == 1 ? names::encoder : names::decoder) ? top : std::stoi(layer.substr(number))};
}

/// [first, first + size) for the kernel square_sums.
void add_places(int64_t first, int64_t size, std::vector<double>& places) {
  for (int64_t at = 0; at < size; at += place_elements)
    places.insert(places.end(), {double(first + at), double(std::min(place_elements, size - at))});
}

Tensor upload(Backend& backend, const std::vector<double>& values, Shape shape) {
  const Tensor tensor = backend.allocate_persistent(shape, DType::f64);
  backend.upload(tensor, values.data());
  return tensor;
}

}  // namespace

LayerNorms::LayerNorms(const ParameterSet& parameters, ArenaShare& share, bool keeps_parameters)
    : parameters_(parameters), share_(share) {
  Backend& backend = parameters.backend();
  std::map<std::tuple<int, int>, std::vector<const ParameterPart*>> parts;
  for (const ParameterPart& part : parameters.parts()) parts[place_of(names::group_of(part.name))].push_back(&part);
  const std::vector<ArenaPiece> own = share.pieces_of_arena(parameters.gradients());
  std::vector<double> in_arena, in_kept;
  for (const auto& [place, members] : parts) {
    for (const ParameterPart* part : members)
      for (const auto& [first, values] : parts_within(own, part->first, part->size())) {
        add_places(first, values.size(), in_arena);
        add_places(parameters.has_all_values() ? first : share.place_in_slice(first), values.size(), in_kept);
      }
    layer_of_place_.resize(in_arena.size() / 2, layers_.size());
    layers_.push_back(names::group_of(members.front()->name));
  }
  const int64_t count = int64_t(layer_of_place_.size());
  places_in_arena_ = upload(backend, in_arena, {count, 2});
  places_in_kept_ = upload(backend, in_kept, {count, 2});
  sums_ = backend.allocate_persistent({count}, DType::f64);
  const Tensor& values = parameters.kept_values();
  if (keeps_parameters) kept_parameters_ = backend.allocate_persistent(values.shape(), values.dtype());
}

std::vector<double> LayerNorms::square_sums_of(In x, In y, In places, Out sums) const {
  if (sums.size() == 0) return {};
  Backend& backend = parameters_.backend();
  backend.square_sums(sums, x, y, places);
  std::vector<double> host(size_t(sums.size()));
  backend.download(host.data(), sums);
  return host;
}

/// Of every layer's share of x, or of x - y.
std::vector<double> LayerNorms::norms(In x, In y, In places) const {
  const std::vector<double> sums = square_sums_of(x, y, places, sums_);
  std::vector<double> norms(layers_.size());
  for (size_t i = 0; i < sums.size(); ++i) norms[layer_of_place_[i]] += sums[i];
  share_.ranks().add_up(norms);
  for (double& norm : norms) norm = std::sqrt(norm);
  return norms;
}

std::vector<double> branch_ratios(const TermSums& sums) {
  std::vector<double> ratios;
  for (const auto& [r, r_squares, f, f_squares] : sums) ratios.push_back(std::sqrt(f_squares / r_squares));
  return ratios;
}

void LayerNorms::keep_parameters() {
  parameters_.backend().accumulate(write_to(kept_parameters_), parameters_.kept_values());
}

std::vector<double> LayerNorms::update_norms() const {
  return norms(parameters_.kept_values(), kept_parameters_, places_in_kept_);
}

/// A copy in the type of the parameters, outside the arena: what is computed in between may overwrite the arena.
Tensor LayerNorms::as_wide(In x) const {
  Backend& backend = parameters_.backend();
  const Tensor wide = backend.allocate_persistent(x.shape(), parameters_.kept_values().dtype());
  backend.cast(wide, x);
  return wide;
}

void LayerNorms::keep_output(In output, int64_t rows) {
  kept_output_ = as_wide(output);
  kept_rows_ = rows;
}

double LayerNorms::output_change(In output) {
  Backend& backend = parameters_.backend();
  std::vector<double> places;
  add_places(0, kept_rows_ * output.cols(), places);
  const int64_t count = int64_t(places.size() / 2);
  double total = 0;
  for (const double sum : square_sums_of(as_wide(output), kept_output_, upload(backend, places, {count, 2}),
                                         backend.allocate_persistent({count}, DType::f64)))
    total += sum;
  kept_output_ = {};
  return std::sqrt(total / double(kept_rows_));
}

}  // namespace bough
