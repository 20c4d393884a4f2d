#include "apps/inference/model_batch.h"

#include <algorithm>
#include <array>

#include "apps/inference/integer_block.h"
#include "core/base/special_ids.h"

namespace bough {
namespace {

struct SidePlaces {
  size_t ids, positions, segments, offsets, order, position_order, first_row, bins;
};

int64_t longest_sentence(const PackedSide& side) {
  int64_t longest = 0;
  for (size_t s = 0; s + 1 < side.offsets.size(); ++s)
    longest = std::max<int64_t>(longest, side.offsets[s + 1] - side.offsets[s]);
  return longest;
}

/// The bins of a side with itself, or of both sides.
enum class BinKind { source, target, cross };
std::vector<int32_t> bin_words(const std::vector<Bin>& bins, BinKind kind) {
  std::vector<int32_t> words;
  for (const Bin& b : bins) {
    const bool from_source = kind == BinKind::source, to_target = kind == BinKind::target;
    words.insert(words.end(), {from_source ? b.k0 : b.q0, from_source ? b.nk : b.nq, to_target ? b.q0 : b.k0,
                               to_target ? b.nq : b.nk});
  }
  return words;
}

/// Rows sorted by id with `tails` rows more at the end: they come behind start_id, which is below their id.
std::vector<int32_t> order_with_tail(const PackedSide& side, int64_t rows) {
  std::vector<int32_t> order(side.order);
  const auto place =
      std::partition_point(order.begin(), order.end(), [&](int32_t row) { return side.ids[size_t(row)] < tail_id; });
  std::vector<int32_t> tails;
  for (int64_t row = side.rows(); row < rows; ++row) tails.push_back(int32_t(row));
  order.insert(place, tails.begin(), tails.end());
  return order;
}

/// The same sorted by position: they may come last.
std::vector<int32_t> with_tail(std::vector<int32_t> order, int64_t rows) {
  while (int64_t(order.size()) < rows) order.push_back(int32_t(order.size()));
  return order;
}

class Layout {
 public:
  /// shape: to pad to, or null.
  Layout(const Batch& batch, const BatchShape* shape) : batch_(batch), shape_(shape) {
    source_ = add_side(batch.source, BinKind::source, shape ? shape->source_rows : batch.source.rows());
    target_ = add_side(batch.target, BinKind::target, shape ? shape->target_rows : batch.target.rows());
    labels_ = block_.add(padded(batch.labels, target_rows(), tail_id));
    bins_ = block_.add(padded_bins(BinKind::cross));
    if (is_weighted()) weights_ = block_.add(padded(batch.weights, target_rows(), 0));
    if (!is_aligned()) return;
    const std::vector<int32_t>& offsets = batch.alignment_offsets;
    alignment_offsets_ = block_.add(padded(offsets, target_rows() + 1, offsets.back()));  // none in the tail
    alignment_keys_ = block_.add(padded(batch.alignment_keys, points(), 0));
  }
  IntegerBlock& block() { return block_; }

  ModelBatch views() const {
    ModelBatch result;
    result.source = view_side(source_, batch_.source, shape_ ? shape_->source_rows : batch_.source.rows());
    result.target = view_side(target_, batch_.target, target_rows());
    result.labels = block_.view(labels_, {shape_ ? shape_->target_rows : int64_t(batch_.labels.size())});
    result.bins = block_.view(bins_, {bins(), 4});
    if (is_weighted()) result.weights = block_.view(weights_, {target_rows()});
    if (is_aligned())
      result.alignment = {block_.view(alignment_offsets_, {target_rows() + 1}),
                          block_.view(alignment_keys_, {points()})};
    for (size_t s = 0; s + 1 < batch_.target.offsets.size(); ++s)
      result.pair_count += double(batch_.source.offsets[s + 1] - batch_.source.offsets[s]) *
                           double(batch_.target.offsets[s + 1] - batch_.target.offsets[s]);
    return result;
  }

 private:
  int64_t target_rows() const { return shape_ ? shape_->target_rows : batch_.target.rows(); }
  bool is_weighted() const { return !batch_.weights.empty(); }
  bool is_aligned() const { return !batch_.alignment_offsets.empty(); }
  int64_t points() const { return shape_ ? shape_->points : int64_t(batch_.alignment_keys.size()); }
  int64_t bins() const { return shape_ ? shape_->bins : int64_t(batch_.bins.size()); }
  std::vector<int32_t> padded(std::vector<int32_t> values, int64_t rows, int32_t filler) const {
    if (shape_) values.resize(size_t(rows), filler);
    return values;
  }
  /// Empty bins are no work.
  std::vector<int32_t> padded_bins(BinKind kind) const { return padded(bin_words(batch_.bins, kind), 4 * bins(), 0); }

  SidePlaces add_side(const PackedSide& side, BinKind kind, int64_t rows) {
    return {.ids = block_.add(padded(side.ids, rows, tail_id)),
            .positions = block_.add(padded(side.positions, rows, 0)),
            .segments = block_.add(padded(side.segments, rows, tail_id)),
            // A sentence has a row, so there are never more.
            .offsets = block_.add(padded(side.offsets, rows + 1, side.rows())),
            .order = block_.add(shape_ ? order_with_tail(side, rows) : side.order),
            .position_order = block_.add(with_tail(side.position_order, rows)),
            .first_row = block_.add({&side.row_offset, 1}),
            .bins = block_.add(padded_bins(kind))};
  }

  SideRows view_side(const SidePlaces& at, const PackedSide& side, int64_t rows) const {
    SideRows result;
    result.tokens = {block_.view(at.ids, {rows}), block_.view(at.order, {rows}),
                     block_.view(at.position_order, {rows})};
    result.bins = block_.view(at.bins, {bins(), 4});
    Packing& p = result.packing;
    p.offsets = block_.view(at.offsets, {shape_ ? rows + 1 : int64_t(side.offsets.size())});
    p.segments = block_.view(at.segments, {rows});
    p.positions = block_.view(at.positions, {rows});
    p.first_row = block_.view(at.first_row, {1});
    p.sentences = shape_ ? rows : side.sentences();
    p.tokens = rows;
    p.longest = shape_ ? shape_->longest : longest_sentence(side);
    for (size_t s = 0; s + 1 < side.offsets.size(); ++s) {
      const double length = side.offsets[s + 1] - side.offsets[s];
      p.square_sum += length * length;
    }
    return result;
  }

  const Batch& batch_;
  const BatchShape* shape_;
  IntegerBlock block_;
  SidePlaces source_{}, target_{};
  size_t labels_ = 0, bins_ = 0, weights_ = 0, alignment_offsets_ = 0, alignment_keys_ = 0;
};

/// The smallest of first, 2 first, 4 first, ... that is not below `least`.
int64_t doubled_to(int64_t least, int64_t first) {
  while (first < least) first *= 2;
  return first;
}

}  // namespace

ModelBatch upload_batch(Backend& backend, const Batch& batch) {
  Layout layout(batch, nullptr);
  layout.block().upload(backend);
  return layout.views();
}

std::string BatchShape::name() const {
  return fmt::format("{} + {} rows, {} bins, {} positions{}", source_rows, target_rows, bins, longest,
                     points > 0 ? fmt::format(", {} alignment points", points) : "");
}

BatchShape BatchPlaces::shape_of(const Batch& batch, int64_t most_positions) const {
  // As a rule a bin has more than 32 rows of the longer side, and a target row fewer than two alignment points.
  constexpr int64_t few_positions = 256, rows_of_bin = 32, points_of_row = 2;
  const int64_t longest = std::max(longest_sentence(batch.source), longest_sentence(batch.target));
  BatchShape shape{.source_rows = shape_class(batch.source.rows(), usual_source_),
                   .target_rows = shape_class(batch.target.rows(), usual_target_),
                   .longest = doubled_to(longest, few_positions)};
  shape.bins = doubled_to(int64_t(batch.bins.size()), std::max(shape.source_rows, shape.target_rows) / rows_of_bin);
  if (!batch.alignment_offsets.empty())
    shape.points = doubled_to(int64_t(batch.alignment_keys.size()), points_of_row * shape.target_rows);
  if (most_positions > 0) shape.longest = std::max(longest, std::min(shape.longest, most_positions));
  return shape;
}

const ModelBatch& BatchPlaces::upload(Backend& backend, const Batch& batch, const BatchShape& shape) {
  Layout layout(batch, &shape);
  IntegerBlock& block = layout.block();
  const auto place = places_.find(shape);
  if (place != places_.end()) {
    block.upload_to(backend, place->second.memory);
    return place->second.batch;
  }
  if (!memory_ || memory_.size() < block.size())  // places in the memory before keep it
    memory_ = backend.allocate_persistent({2 * block.size()}, DType::i32);
  block.upload_to(backend, memory_);
  return places_.emplace(shape, Place{memory_, layout.views()}).first->second.batch;
}

Batch imagined_batch(int64_t source_rows, int64_t target_rows, int64_t longest, bool is_aligned, bool is_weighted) {
  const int64_t least = (std::max(source_rows, target_rows) + longest - 1) / longest;
  const int64_t sentences = std::clamp<int64_t>(std::max(target_rows / usual_length, least), 1,
                                                std::max<int64_t>(std::min(source_rows, target_rows), 1));
  // The first sentences get what does not divide evenly.
  const auto length = [&](int64_t rows, int64_t s) {
    return std::max<int64_t>(rows / sentences + (s < rows % sentences), 1) - 1;
  };
  const std::vector<int32_t> tokens(size_t(std::max(source_rows, target_rows)), unknown_id);
  const std::array<int32_t, 2> first_words{};
  std::vector<SentencePair> pairs;
  for (int64_t s = 0; s < sentences; ++s)
    pairs.push_back({std::span(tokens).first(size_t(length(source_rows, s))),
                     std::span(tokens).first(size_t(length(target_rows, s))), s,
                     is_aligned ? std::span<const int32_t>(first_words) : std::span<const int32_t>(),
                     is_weighted ? std::span<const int32_t>(first_words).first(1) : std::span<const int32_t>()});
  return pack(pairs);
}

}  // namespace bough
