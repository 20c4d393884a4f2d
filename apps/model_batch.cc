#include "apps/model_batch.h"

#include <algorithm>

#include "apps/integer_block.h"
#include "data/vocabulary.h"

namespace bough {
namespace {

struct SidePlaces {
  size_t ids, positions, segments, offsets, order, first_row;
};

SidePlaces add_side(IntegerBlock& block, const PackedSide& side) {
  return {block.add(side.ids),     block.add(side.positions), block.add(side.segments),
          block.add(side.offsets), block.add(side.order),     block.add({&side.row_offset, 1})};
}

SideRows view_side(const IntegerBlock& block, const SidePlaces& at, const PackedSide& side) {
  const int64_t rows = side.rows(), sentences = side.sentences();
  SideRows result;
  result.tokens = {block.view(at.ids, {rows}), block.view(at.order, {int64_t(side.order.size())})};
  Packing& p = result.packing;
  p.offsets = block.view(at.offsets, {int64_t(side.offsets.size())});
  p.segments = block.view(at.segments, {rows});
  p.positions = block.view(at.positions, {rows});
  p.first_row = block.view(at.first_row, {1});
  p.sentences = sentences;
  p.tokens = rows;
  for (int64_t s = 0; s < sentences; ++s) {
    const int64_t length = side.offsets[size_t(s) + 1] - side.offsets[size_t(s)];
    p.longest = std::max(p.longest, length);
    p.square_sum += double(length * length);
  }
  return result;
}

}  // namespace

ModelBatch upload_batch(Backend& backend, const Batch& batch) {
  std::vector<int32_t> bins;
  for (const Bin& b : batch.bins) bins.insert(bins.end(), {b.q0, b.nq, b.k0, b.nk});
  IntegerBlock block;
  const SidePlaces source = add_side(block, batch.source), target = add_side(block, batch.target);
  const size_t labels = block.add(batch.labels), bins_at = block.add(bins);
  block.upload(backend);

  ModelBatch result;
  result.source = view_side(block, source, batch.source);
  result.target = view_side(block, target, batch.target);
  result.labels = block.view(labels, {int64_t(batch.labels.size())});
  result.bins = block.view(bins_at, {int64_t(batch.bins.size()), 4});
  for (size_t s = 0; s + 1 < batch.target.offsets.size(); ++s)
    result.pair_count += double(batch.source.offsets[s + 1] - batch.source.offsets[s]) *
                         double(batch.target.offsets[s + 1] - batch.target.offsets[s]);
  return result;
}

Batch imagined_batch(int64_t sentences, int64_t source_rows, int64_t target_rows) {
  const std::vector<int32_t> source(size_t(source_rows - 1), unknown_id);
  const std::vector<int32_t> target(size_t(target_rows - 1), unknown_id);
  const std::vector<SentencePair> pairs(size_t(sentences), SentencePair{source, target, 0});
  return pack(pairs);
}

}  // namespace bough
