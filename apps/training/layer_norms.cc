#include "apps/training/layer_norms.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "layers/parameter_names.h"

namespace bough {

namespace names = parameter_names;

namespace {

constexpr int64_t piece_elements = 1 << 16;

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

/// [first, first + size) in pieces for the kernel square_sums.
void add_pieces(int64_t first, int64_t size, std::vector<double>& pieces) {
  for (int64_t at = 0; at < size; at += piece_elements)
    pieces.insert(pieces.end(), {double(first + at), double(std::min(piece_elements, size - at))});
}

Tensor upload(Backend& backend, const std::vector<double>& values, Shape shape) {
  const Tensor tensor = backend.allocate_persistent(shape, DType::f64);
  backend.upload(tensor, values.data());
  return tensor;
}

}  // namespace

LayerNorms::LayerNorms(const ParameterSet& parameters, bool keeps_parameters) : parameters_(parameters) {
  Backend& backend = parameters.backend();
  std::map<std::tuple<int, int>, std::vector<const ParameterPart*>> parts;
  for (const ParameterPart& part : parameters.parts()) parts[place_of(names::group_of(part.name))].push_back(&part);
  std::vector<double> pieces;
  for (const auto& [place, members] : parts) {
    for (const ParameterPart* part : members) add_pieces(part->first, part->size(), pieces);
    layer_of_piece_.resize(pieces.size() / 2, layers_.size());
    layers_.push_back(names::group_of(members.front()->name));
  }
  const int64_t count = int64_t(layer_of_piece_.size());
  pieces_ = upload(backend, pieces, {count, 2});
  sums_ = backend.allocate_persistent({count}, DType::f64);
  const Tensor& values = parameters.values();
  if (keeps_parameters) kept_parameters_ = backend.allocate_persistent(values.shape(), values.dtype());
}

std::vector<double> LayerNorms::square_sums_of(In x, In y, In pieces, Out sums) const {
  Backend& backend = parameters_.backend();
  backend.square_sums(sums, x, y, pieces);
  std::vector<double> host(size_t(sums.size()));
  backend.download(host.data(), sums);
  return host;
}

std::vector<double> LayerNorms::norms(In arena, In other) const {
  const std::vector<double> sums = square_sums_of(arena, other, pieces_, sums_);
  std::vector<double> norms(layers_.size());
  for (size_t i = 0; i < sums.size(); ++i) norms[layer_of_piece_[i]] += sums[i];
  for (double& norm : norms) norm = std::sqrt(norm);
  return norms;
}

std::vector<double> branch_ratios(const TermSums& sums) {
  std::vector<double> ratios;
  for (const auto& [r, r_squares, f, f_squares] : sums) ratios.push_back(std::sqrt(f_squares / r_squares));
  return ratios;
}

void LayerNorms::keep_parameters() {
  parameters_.backend().accumulate(write_to(kept_parameters_), parameters_.values());
}

std::vector<double> LayerNorms::update_norms() const { return norms(parameters_.values(), kept_parameters_); }

/// A copy in the type of the parameters, outside the arena: what is computed in between may overwrite the arena.
Tensor LayerNorms::as_wide(In x) const {
  Backend& backend = parameters_.backend();
  const Tensor wide = backend.allocate_persistent(x.shape(), parameters_.values().dtype());
  backend.cast(wide, x);
  return wide;
}

void LayerNorms::keep_output(In output, int64_t rows) {
  kept_output_ = as_wide(output);
  kept_rows_ = rows;
}

double LayerNorms::output_change(In output) {
  Backend& backend = parameters_.backend();
  std::vector<double> pieces;
  add_pieces(0, kept_rows_ * output.cols(), pieces);
  const int64_t count = int64_t(pieces.size() / 2);
  double total = 0;
  for (const double sum : square_sums_of(as_wide(output), kept_output_, upload(backend, pieces, {count, 2}),
                                         backend.allocate_persistent({count}, DType::f64)))
    total += sum;
  kept_output_ = {};
  return std::sqrt(total / double(kept_rows_));
}

}  // namespace bough
