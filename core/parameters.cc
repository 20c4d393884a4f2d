#include "core/parameters.h"

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "core/base/rounding.h"

namespace bough {
namespace {

constexpr int64_t alignment = 64;  // elements: 256 bytes of f32

uint64_t hash_name(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001b3u;
  return hash;
}

/// Copies (rows, cols) to its transpose; blocked so that big matrices stay in cache.
void transpose(const float* in, int64_t rows, int64_t cols, float* out) {
  constexpr int64_t block = 32;
  for (int64_t r0 = 0; r0 < rows; r0 += block)
    for (int64_t c0 = 0; c0 < cols; c0 += block)
      for (int64_t r = r0; r < std::min(r0 + block, rows); ++r)
        for (int64_t c = c0; c < std::min(c0 + block, cols); ++c) out[c * rows + r] = in[r * cols + c];
}

}  // namespace

Init glorot_uniform(int64_t fan_in, int64_t fan_out, double gain) {
  return uniform(gain * std::sqrt(6.0 / double(fan_in + fan_out)));
}

Parameter& ParameterSet::declare(std::vector<ParameterPart> parts, int64_t row_multiple) {
  int64_t rows = 0;
  for (const auto& part : parts) rows += part.rows;
  const Shape shape{round_up(rows, row_multiple), parts.front().cols};
  return add(std::move(parts), shape);
}

Parameter& ParameterSet::declare_vector(std::vector<ParameterPart> parts, int64_t multiple) {
  int64_t size = 0;
  for (const auto& part : parts) size += part.size();
  return add(std::move(parts), {round_up(size, multiple)});
}

Parameter& ParameterSet::add(std::vector<ParameterPart> parts, Shape shape) {
  Declared d;
  d.parts = std::move(parts);
  d.shape = shape;
  d.parameter.slot = std::make_shared<GradSlot>();
  declared_.push_back(std::move(d));
  return declared_.back().parameter;
}

void ParameterSet::lay_out() {
  if (!parts_.empty()) return;
  for (auto d = declared_.rbegin(); d != declared_.rend(); ++d) {
    d->first = elements_;
    elements_ += round_up(d->shape.elements(), alignment);
    int64_t first = d->first;
    for (ParameterPart part : d->parts) {
      part.first = first;
      first += part.size();
      parts_.push_back(std::move(part));
    }
  }
  std::sort(parts_.begin(), parts_.end(), [](auto& a, auto& b) { return a.name < b.name; });
}

ParameterSet& ParameterSet::allocate(bool with_gradients, ArenaShare* share) {
  lay_out();
  const DType type = backend_.statistics_dtype();
  const bool has_copy = backend_.compute_dtype() == DType::bf16;
  if (has_copy && share && !share->ranks().is_alone()) share_ = share;
  values_ = backend_.allocate_persistent({share_ ? share_->size() : elements_}, type);
  if (with_gradients) {
    gradients_ = backend_.allocate_persistent({elements_}, type);
    backend_.fill(gradients_, 0.0);  // the gaps between parameters stay zero for ever
  }
  if (has_copy) compute_ = backend_.allocate_persistent({elements_}, DType::bf16);

  for (Declared& d : declared_) {
    d.parameter.value = (compute_ ? compute_ : values_).view(d.first, d.shape);
    if (with_gradients) d.parameter.slot->tensor = gradients_.view(d.first, d.shape);
    d.parameter.slot->shape = d.shape;
    d.parameter.slot->dtype = type;
  }
  return *this;
}

void ParameterSet::initialize(uint64_t seed,
                              const std::function<void(const ParameterPart&, std::vector<float>&)>& change) {
  if (backend_.is_null()) return;
  backend_.fill(values_, 0.0);
  const std::vector<ArenaPiece> pieces = kept_pieces();
  for (const ParameterPart& part : parts_) {
    std::vector<float> values(size_t(part.size()), float(part.init.value));
    if (part.init.kind != Init::Kind::constant) {
      RandomStream random(seed, hash_name(part.name));
      for (float& v : values) v = float((2 * random.uniform() - 1) * part.init.value);
    }
    if (change) change(part, values);
    place(pieces, part, values);
  }
  values_changed();
}

const Tensor& ParameterSet::values() const {
  check(has_all_values(), "values() where ranks keep pieces of them, a defect of bough; please report");
  return values_;
}

std::vector<ArenaPiece> ParameterSet::kept_pieces() const {
  return share_ ? share_->pieces(values_) : std::vector<ArenaPiece>{{0, values_}};
}

/// As the values lie in memory.
void ParameterSet::place(const std::vector<ArenaPiece>& pieces, const ParameterPart& part,
                         std::span<const float> values) const {
  for (const auto& [first, place] : parts_within(pieces, part.first, part.size()))
    upload(place, values.subspan(size_t(first - part.first), size_t(place.size())));
}

bool ParameterSet::is_fixed(const ParameterPart& part) const {
  return std::any_of(declared_.begin(), declared_.end(), [&](const Declared& d) {
    return d.parameter.is_fixed && part.first >= d.first && part.first < d.first + d.shape.elements();
  });
}

void ParameterSet::set_int8(const std::map<std::string, Int8Part>& parts) {
  for (Declared& d : declared_) {
    if (!std::ranges::all_of(d.parts, [&](const ParameterPart& part) { return parts.count(part.name) == 1; })) continue;
    Int8Multipliers& int8 = d.parameter.int8;
    const ParameterPart& first = d.parts.front();
    int8.input = parts.at(first.name).input;
    for (const ParameterPart& part : d.parts) {
      const Int8Part& of_part = parts.at(part.name);
      check(
          of_part.input == int8.input,
          "int8: the multiplier of what {} is multiplied by is {}, must be {} as that of {}: it is the same. Let each "
          "row have its own (gemm-precision: int8)",
          part.name, of_part.input, int8.input, first.name);
      int8.weight.insert(int8.weight.end(), size_t(part.rows), of_part.weight);
    }
    int8.weight.resize(size_t(d.parameter.value.rows()), 1);  // rows that pad it
  }
}

std::map<std::string, std::shared_ptr<InputSizes>> ParameterSet::note_int8_inputs() {
  std::map<std::string, std::shared_ptr<InputSizes>> sizes;
  for (Declared& d : declared_) {
    if (d.parameter.int8.weight.empty()) continue;
    d.parameter.int8.input_sizes = std::make_shared<InputSizes>();
    for (const ParameterPart& part : d.parts) sizes[part.name] = d.parameter.int8.input_sizes;
  }
  return sizes;
}

void ParameterSet::begin_update() {
  for (Declared& d : declared_) d.parameter.slot->written = false;
}

void ParameterSet::finish_update(int64_t end) {
  for (Declared& d : declared_) {
    if (d.first >= end || d.parameter.slot->written) continue;
    backend_.fill(d.parameter.slot->tensor, 0.0);
    d.parameter.slot->written = true;
  }
}

void ParameterSet::begin_tape() {
  for (Declared& d : declared_) d.parameter.slot->first_section = GradSlot::no_section;
}

int64_t ParameterSet::known_elements(int section) const {
  for (auto d = declared_.rbegin(); d != declared_.rend(); ++d)
    if (d->parameter.slot->first_section < section) return d->first;
  return elements_;
}

int64_t ParameterSet::trained_elements() const {
  int64_t n = 0;
  for (const auto& part : parts_) n += part.size();
  return n;
}

int64_t ParameterSet::file_elements() const {
  int64_t n = 0;
  for (const auto& part : parts_) n += file_elements(part);
  return n;
}

int64_t ParameterSet::file_elements(const ParameterPart& part) const { return round_up(part.size(), alignment); }

std::vector<float> ParameterSet::extract(const WholeArena& arena, const ParameterPart& part) const {
  std::vector<float> values;
  if (arena.tensor)
    values = download(arena.tensor.view(part.first, {part.size()}));
  else
    values.assign(arena.on_host.begin() + part.first, arena.on_host.begin() + part.first + part.size());
  if (!part.is_transposed) return values;
  std::vector<float> transposed(values.size());
  transpose(values.data(), part.rows, part.cols, transposed.data());
  return transposed;
}

void ParameterSet::insert(const std::vector<ArenaPiece>& pieces, const ParameterPart& part,
                          std::span<const float> values, std::vector<float>& scratch) const {
  if (part.is_transposed) {
    scratch.resize(values.size());
    transpose(values.data(), part.cols, part.rows, scratch.data());
    values = scratch;
  }
  place(pieces, part, values);
}

void ParameterSet::clear_gaps() const {
  std::vector<const ParameterPart*> parts;
  for (const ParameterPart& part : parts_) parts.push_back(&part);
  std::ranges::sort(parts, {}, [](const ParameterPart* part) { return part->first; });
  const std::vector<ArenaPiece> pieces = kept_pieces();
  int64_t at = 0;
  const auto clear_to = [&](int64_t end) {
    for (const ArenaPiece& gap : parts_within(pieces, at, end - at)) backend_.fill(gap.values, 0.0);
  };
  for (const ParameterPart* part : parts) {
    clear_to(part->first);
    at = part->first + part->size();
  }
  clear_to(elements_);
}

std::vector<float> ParameterSet::download(In arena) const {
  std::vector<float> host;
  backend_.download(host, arena);
  return host;
}

void ParameterSet::upload(Out arena, std::span<const float> values) const {
  if (arena.dtype() == DType::f32) {
    backend_.upload(arena, values.data());
    return;
  }
  const std::vector<double> wide(values.begin(), values.end());
  backend_.upload(arena, wide.data());
}

void ParameterSet::values_changed() {
  if (!compute_) return;
  for (const auto& [first, values] : kept_pieces()) backend_.cast(compute_.view(first, values.shape()), values);
  if (share_) share_->gather(compute_);
}

}  // namespace bough
