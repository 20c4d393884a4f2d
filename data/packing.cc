// Putting sentence pairs into a batch: bins, rows, sorted ids.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/error.h"
#include "core/base/special_ids.h"
#include "data/batch.h"

namespace bough {
namespace {

struct Rows {
  int32_t source = 0, target = 0;
};

Rows rows_of(const SentencePair& pair) {
  // Source: pieces and end_id. Target: start_id and pieces in, pieces and end_id out.
  return {int32_t(pair.source.size()) + 1, int32_t(pair.target.size()) + 1};
}

struct OpenBin {
  Rows used;
  std::vector<size_t> members;
};

/// Best fit, longest first: each pair goes where the least room is left. O(S log S + S * 64).
class BinPacker {
 public:
  void add(size_t pair, Rows rows) {
    const int32_t most = std::max(rows.source, rows.target);
    OpenBin* best = most < bin_tokens ? find(rows) : nullptr;
    if (best == nullptr) {
      bins_.push_back({rows, {pair}});
      if (most < bin_tokens) offer(bins_.size() - 1);
      return;
    }
    best->used.source += rows.source;
    best->used.target += rows.target;
    best->members.push_back(pair);
    offer(size_t(best - bins_.data()));
  }
  const std::vector<OpenBin>& bins() const { return bins_; }

 private:
  static int32_t free_rows(const OpenBin& bin) { return 2 * bin_tokens - bin.used.source - bin.used.target; }
  void offer(size_t bin) {
    const int32_t room = free_rows(bins_[bin]);
    if (room > 1) open_[size_t(room)].push_back(bin);
  }
  /// Takes the fullest bin that has room on both sides out of the open ones.
  OpenBin* find(Rows rows) {
    for (auto room = size_t(rows.source + rows.target); room < open_.size(); ++room) {
      auto& candidates = open_[room];
      for (size_t i = 0; i < std::min<size_t>(candidates.size(), 16); ++i) {
        OpenBin& bin = bins_[candidates[i]];
        if (bin.used.source + rows.source > bin_tokens || bin.used.target + rows.target > bin_tokens) continue;
        candidates.erase(candidates.begin() + std::ptrdiff_t(i));
        return &bin;
      }
    }
    return nullptr;
  }

  std::vector<OpenBin> bins_;
  // Open bins by free rows of both sides together, oldest first.
  std::vector<std::vector<size_t>> open_ = std::vector<std::vector<size_t>>(2 * bin_tokens + 1);
};

/// Pairs by falling length of the longer side, then in the given order.
std::vector<size_t> longest_first(std::span<const SentencePair> pairs) {
  std::vector<std::pair<int32_t, size_t>> keys(pairs.size());
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Rows rows = rows_of(pairs[i]);
    keys[i] = {-std::max(rows.source, rows.target), i};
  }
  std::sort(keys.begin(), keys.end());
  std::vector<size_t> order(pairs.size());
  for (size_t i = 0; i < keys.size(); ++i) order[i] = keys[i].second;
  return order;
}

class SideBuilder {
 public:
  SideBuilder(PackedSide& side, size_t sentences, size_t rows) : side_(side) {
    side_.offsets.reserve(sentences + 1);
    side_.offsets.push_back(0);
    for (auto* column : {&side_.ids, &side_.positions, &side_.segments}) column->reserve(rows);
  }
  void add(int32_t id) {
    side_.ids.push_back(id);
    side_.positions.push_back(position_++);
    side_.segments.push_back(side_.sentences());
  }
  void end_sentence() {
    side_.offsets.push_back(side_.rows());
    position_ = 0;
  }

 private:
  PackedSide& side_;
  int32_t position_ = 0;
};

/// Row numbers sorted by key, equal keys in row order: counted, not compared.
std::vector<int32_t> sorted_rows(const std::vector<int32_t>& keys) {
  std::vector<int32_t> order(keys.size());
  if (keys.empty()) return order;
  const auto [low, high] = std::minmax_element(keys.begin(), keys.end());
  const int32_t base = *low;
  std::vector<int32_t> place(size_t(*high - base) + 2, 0);
  for (const int32_t key : keys) ++place[size_t(key - base) + 1];
  std::partial_sum(place.begin(), place.end(), place.begin());
  for (size_t row = 0; row < keys.size(); ++row) order[size_t(place[size_t(keys[row] - base)]++)] = int32_t(row);
  return order;
}

void sort_rows(PackedSide& side) {
  side.order = sorted_rows(side.ids);
  side.position_order = sorted_rows(side.positions);
}

void check_rows(int64_t rows) {
  check(rows <= std::numeric_limits<int32_t>::max(),
        "batch: {} rows on one side, must fit into 31 bits. Lower mini-batch-words.", rows);
}

Bin bin_between(const Batch& batch, int32_t first, int32_t end) {
  const auto at = [](const PackedSide& side, int32_t sentence) {
    return side.offsets.empty() ? 0 : side.offsets[size_t(sentence)];
  };
  const int32_t q0 = at(batch.target, first), k0 = at(batch.source, first);
  return {first, end, q0, at(batch.target, end) - q0, k0, at(batch.source, end) - k0};
}

/// The weights of the batch's last pair; `rows`: of its target.
void add_weights(Batch& batch, std::span<const int32_t> weights, size_t rows) {
  for (size_t row = 0; row < rows; ++row) batch.weights.push_back(weights[weights.size() == 1 ? 0 : row]);
}

/// The points of the batch's last pair, by target row; `rows`: of its target.
void add_alignment(Batch& batch, std::span<const int32_t> points, size_t rows) {
  if (batch.alignment_offsets.empty()) batch.alignment_offsets.push_back(0);
  std::vector<int32_t> next(rows + 1, 0);
  for (size_t i = 0; i < points.size(); i += 2) ++next[size_t(points[i + 1]) + 1];
  next[0] = batch.alignment_offsets.back();
  std::partial_sum(next.begin(), next.end(), next.begin());
  batch.alignment_offsets.insert(batch.alignment_offsets.end(), next.begin() + 1, next.end());
  batch.alignment_keys.resize(size_t(next[rows]));
  for (size_t i = 0; i < points.size(); i += 2) batch.alignment_keys[size_t(next[size_t(points[i + 1])]++)] = points[i];
}

}  // namespace

Batch pack(std::span<const SentencePair> pairs, EndIds ends) {
  BinPacker packer;
  int64_t source_rows = 0, target_rows = 0;
  for (const size_t i : longest_first(pairs)) {
    const Rows rows = rows_of(pairs[i]);
    packer.add(i, rows);
    source_rows += rows.source;
    target_rows += rows.target;
  }
  check_rows(std::max(source_rows, target_rows));
  Batch batch;
  SideBuilder source(batch.source, pairs.size(), size_t(source_rows));
  SideBuilder target(batch.target, pairs.size(), size_t(target_rows));
  batch.labels.reserve(size_t(target_rows));
  for (const OpenBin& bin : packer.bins()) {
    const int32_t first = batch.sentences();
    for (const size_t i : bin.members) {
      for (const int32_t id : pairs[i].source) source.add(id);
      source.add(ends.source);
      source.end_sentence();
      target.add(start_id);
      for (const int32_t id : pairs[i].target) target.add(id);
      target.end_sentence();
      batch.labels.insert(batch.labels.end(), pairs[i].target.begin(), pairs[i].target.end());
      batch.labels.push_back(ends.target);
      batch.sentence_ids.push_back(pairs[i].id);
      if (!pairs[i].weights.empty()) add_weights(batch, pairs[i].weights, pairs[i].target.size() + 1);
      if (!pairs[i].alignment.empty()) add_alignment(batch, pairs[i].alignment, pairs[i].target.size() + 1);
    }
    batch.bins.push_back(bin_between(batch, first, batch.sentences()));
  }
  sort_rows(batch.source);
  sort_rows(batch.target);
  return batch;
}

Batch pack_source(std::span<const SentencePair> sentences, int32_t end) {
  int64_t rows = 0;
  for (const auto& sentence : sentences) rows += rows_of(sentence).source;
  check_rows(rows);
  Batch batch;
  SideBuilder source(batch.source, sentences.size(), size_t(rows));
  int32_t first = 0;
  for (const auto& sentence : sentences) {
    const int32_t begin = batch.source.offsets[size_t(first)];
    if (batch.sentences() > first && batch.source.rows() - begin + rows_of(sentence).source > bin_tokens) {
      batch.bins.push_back(bin_between(batch, first, batch.sentences()));
      first = batch.sentences();
    }
    for (const int32_t id : sentence.source) source.add(id);
    source.add(end);
    source.end_sentence();
    batch.sentence_ids.push_back(sentence.id);
  }
  if (batch.sentences() > first) batch.bins.push_back(bin_between(batch, first, batch.sentences()));
  sort_rows(batch.source);
  return batch;
}

int64_t shape_class(int64_t rows, int64_t largest) {
  // 2^(-k/8), k = 0 .. 7
  constexpr double steps[] = {1,
                              0.91700404320467122,
                              0.84089641525371454,
                              0.77110541270397041,
                              0.70710678118654752,
                              0.64841977732550483,
                              0.59460355750136053,
                              0.54525386633262884};
  constexpr int64_t multiple = 128;
  const auto rounded = [](double x) { return (int64_t(std::ceil(x)) + multiple - 1) / multiple * multiple; };
  double octave = double(std::max<int64_t>(largest, 1));
  while (rounded(octave) < rows) octave *= 2;
  int64_t best = rounded(octave);
  for (size_t k = 1; best > multiple; ++k) {
    if (k % 8 == 0) octave /= 2;
    const int64_t next = rounded(octave * steps[k % 8]);
    if (next < rows) break;
    best = next;
  }
  return best;
}

}  // namespace bough
