#pragma once
#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "data/batch.h"

namespace bough {

inline void append(std::vector<int32_t>& to, const std::vector<int32_t>& from, int32_t shift = 0) {
  for (const int32_t value : from) to.push_back(value + shift);
}

inline void append(PackedSide& to, const PackedSide& from) {
  const int32_t sentences = to.sentences(), rows = to.rows();
  append(to.ids, from.ids);
  append(to.positions, from.positions);
  append(to.segments, from.segments, sentences);
  if (!to.offsets.empty()) to.offsets.pop_back();
  append(to.offsets, from.offsets, rows);
  const auto sort_by = [&](std::vector<int32_t>& order, const std::vector<int32_t>& keys) {
    order.resize(keys.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, {}, [&](int32_t row) { return keys[size_t(row)]; });
  };
  sort_by(to.order, to.ids);
  sort_by(to.position_order, to.positions);
}

/// The batches one after another as one: the same rows in the same order, bins and row_offset included.
inline Batch concatenate(std::span<const Batch> batches) {
  Batch all;
  if (!batches.empty()) {
    all.source.row_offset = batches.front().source.row_offset;
    all.target.row_offset = batches.front().target.row_offset;
  }
  for (const Batch& batch : batches) {
    const int32_t sentences = all.sentences(), q = all.target.rows(), k = all.source.rows();
    for (const Bin& bin : batch.bins)
      all.bins.push_back(
          {bin.first_sentence + sentences, bin.end_sentence + sentences, bin.q0 + q, bin.nq, bin.k0 + k, bin.nk});
    append(all.source, batch.source);
    append(all.target, batch.target);
    append(all.labels, batch.labels);
    if (!batch.alignment_offsets.empty()) {
      const auto points = int32_t(all.alignment_keys.size());
      if (!all.alignment_offsets.empty()) all.alignment_offsets.pop_back();
      append(all.alignment_offsets, batch.alignment_offsets, points);
      append(all.alignment_keys, batch.alignment_keys);
    }
    all.sentence_ids.insert(all.sentence_ids.end(), batch.sentence_ids.begin(), batch.sentence_ids.end());
  }
  return all;
}

}  // namespace bough
