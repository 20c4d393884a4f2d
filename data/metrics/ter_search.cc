#include "data/metrics/ter_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

namespace bough {
namespace {

// Tercom's limits, as sacreBLEU applies them.
constexpr int beam_width = 25;
constexpr size_t max_shift_length = 10;
constexpr size_t max_shift_distance = 50;
constexpr int max_candidates = 1000;

constexpr int unreachable = 1 << 29;

/// sum[i] = errors before word i, in place of the errors; one more entry for the end.
void accumulate(std::vector<int>& errors) {
  errors.push_back(0);
  std::exclusive_scan(errors.begin(), errors.end(), errors.begin(), 0);
}

}  // namespace

void BeamEditDistance::plan_bands() {
  const size_t rows = hypothesis_.size() + 1, columns = reference_.size() + 1;
  const double ratio = hypothesis_.empty() ? 1.0 : double(reference_.size()) / double(hypothesis_.size());
  const auto beam = size_t(beam_width < ratio / 2 ? std::ceil(ratio / 2 + beam_width) : double{beam_width});
  bands_.resize(rows);
  bands_[0] = {0, columns, 0};
  for (size_t i = 1; i < rows; ++i) {
    const auto diagonal = size_t(std::floor(double(i) * ratio));
    Band& band = bands_[i];
    band.first = diagonal > beam ? diagonal - beam : 0;
    band.last = i + 1 == rows ? columns : std::min(columns, diagonal + beam);
    band.offset = bands_[i - 1].offset + bands_[i - 1].last - bands_[i - 1].first;
  }
}

int BeamEditDistance::cell(size_t row, size_t column) const {
  const Band& band = bands_[row];
  if (column < band.first || column >= band.last) return unreachable;
  return forward_[band.offset + column - band.first];
}

void BeamEditDistance::fill_row(const Band& above, const int* above_cells, const Band& band, uint32_t word,
                                int* cells) {
  const size_t width = band.last - band.first;
  // shifted_above_[k] is the cell above and left of column first + k.
  shifted_above_.resize(width + 1);
  for (size_t k = 0; k <= width; ++k) {
    const size_t column = band.first + k;  // plus one
    const bool inside = column > above.first && column <= above.last;
    shifted_above_[k] = inside ? above_cells[column - 1 - above.first] : unreachable;
  }
  size_t k = 0;
  if (band.first == 0) {
    cells[0] = shifted_above_[1] + 1;
    k = 1;
  }
  const uint32_t* reference = reference_.data();
  for (size_t i = k; i < width; ++i) {
    const int substitution = shifted_above_[i] + (reference[band.first + i - 1] != word ? 1 : 0);
    cells[i] = std::min(substitution, shifted_above_[i + 1] + 1);
  }
  for (size_t i = 1; i < width; ++i) cells[i] = std::min(cells[i], cells[i - 1] + 1);
}

void BeamEditDistance::fill_forward() {
  const Band& end = bands_.back();
  forward_.resize(end.offset + end.last - end.first);
  std::iota(forward_.begin(), forward_.begin() + std::ptrdiff_t(bands_[0].last), 0);
  for (size_t i = 1; i < bands_.size(); ++i)
    fill_row(bands_[i - 1], &forward_[bands_[i - 1].offset], bands_[i], hypothesis_[i - 1],
             &forward_[bands_[i].offset]);
}

void BeamEditDistance::fill_backward() {
  backward_.resize(forward_.size());
  for (size_t i = bands_.size(); i-- > 1;) {
    const Band& band = bands_[i];
    const bool is_last = i + 1 == bands_.size();
    const Band below = is_last ? Band{} : bands_[i + 1];
    const auto under = [&](size_t column) {
      if (column < below.first || column >= below.last) return unreachable;
      return backward_[below.offset + column - below.first];
    };
    int right = unreachable;
    for (size_t j = band.last; j-- > band.first;) {
      int cost = is_last && j == reference_.size() ? 0 : right + 1;
      if (!is_last) {
        cost = std::min(cost, under(j) + 1);
        if (j < reference_.size()) cost = std::min(cost, under(j + 1) + (hypothesis_[i] != reference_[j] ? 1 : 0));
      }
      backward_[band.offset + j - band.first] = right = cost;
    }
  }
}

void BeamEditDistance::start(Words hypothesis, Words reference) {
  hypothesis_ = hypothesis;
  reference_ = reference;
  plan_bands();
  fill_forward();
  fill_backward();
}

int BeamEditDistance::distance() const { return forward_.back(); }

int BeamEditDistance::distance_with(Words changed, size_t begin, size_t end) {
  const Band* above = &bands_[begin];
  const int* above_cells = &forward_[above->offset];
  for (size_t i = begin; i < end; ++i) {
    const Band& band = bands_[i + 1];
    next_row_.resize(band.last - band.first);
    fill_row(*above, above_cells, band, changed[i - begin], next_row_.data());
    row_.swap(next_row_);
    above = &band;
    above_cells = row_.data();
  }
  int best = unreachable;
  const int* rest = &backward_[above->offset];
  for (size_t k = 0; k < above->last - above->first; ++k) best = std::min(best, above_cells[k] + rest[k]);
  return best;
}

void BeamEditDistance::trace(std::vector<int>& aligned, std::vector<int>& hypothesis_errors,
                             std::vector<int>& reference_errors) const {
  size_t i = hypothesis_.size(), j = reference_.size();
  aligned.assign(j, 0);
  hypothesis_errors.assign(i, 0);
  reference_errors.assign(j, 0);
  while (i > 0 || j > 0) {
    const int cost = cell(i, j);
    const int wrong = i > 0 && j > 0 && hypothesis_[i - 1] != reference_[j - 1] ? 1 : 0;
    if (i > 0 && j > 0 && cell(i - 1, j - 1) + wrong == cost) {
      --i, --j;
      aligned[j] = int(i);
      hypothesis_errors[i] = reference_errors[j] = wrong;
    } else if (i > 0 && (j == 0 || cell(i - 1, j) + 1 == cost)) {
      hypothesis_errors[--i] = 1;
    } else {
      aligned[--j] = int(i) - 1;
      reference_errors[j] = 1;
    }
  }
}

std::pair<size_t, size_t> TerSearch::perform(const Shift& shift, std::vector<uint32_t>& words) const {
  // The block [begin, begin + length) trades places with the words between it and its target. A
  // target within the block means: that many words further right.
  const size_t block_end = shift.begin + shift.length;
  size_t first = shift.begin, middle = block_end, last = shift.target;
  if (shift.target < shift.begin) {
    first = shift.target;
    middle = shift.begin;
    last = block_end;
  } else if (shift.target <= block_end) {
    last = std::min(words_.size(), shift.target + shift.length);
  }
  words.resize(last - first);
  std::rotate_copy(words_.begin() + std::ptrdiff_t(first), words_.begin() + std::ptrdiff_t(middle),
                   words_.begin() + std::ptrdiff_t(last), words.begin());
  return {first, last};
}

int TerSearch::gain_of(const Shift& shift, int before) {
  const auto [first, last] = perform(shift, shifted_);
  return before - distance_.distance_with(shifted_, first, last);
}

bool TerSearch::is_worth_trying(size_t begin, size_t reference_begin, size_t length) const {
  if (hypothesis_errors_[begin] == hypothesis_errors_[begin + length]) return false;
  if (reference_errors_[reference_begin] == reference_errors_[reference_begin + length]) return false;
  const int aligned = aligned_[reference_begin];
  return aligned < int(begin) || aligned >= int(begin + length);
}

bool TerSearch::try_targets(size_t begin, size_t reference_begin, size_t length, Shift& best, bool& found) {
  constexpr size_t nowhere = SIZE_MAX;
  size_t previous = nowhere;
  // Before the first aligned word, then behind each word that the block's words are aligned to.
  for (size_t k = 0; k <= length && reference_begin + k <= reference_.size(); ++k) {
    const size_t after = reference_begin + k;
    const size_t target = after == 0 ? 0 : size_t(aligned_[after - 1] + 1);
    if (target == previous) continue;
    previous = target;
    Shift shift{0, length, begin, target};
    shift.gain = gain_of(shift, distance_.distance());
    ++candidates_;
    // More gain, then longer, then earlier, then an earlier target. Equal in all of these means
    // equal words, so Tercom's last criterion decides nothing.
    const auto rank = [](const Shift& s) { return std::tuple(-s.gain, -int64_t(s.length), s.begin, s.target); };
    if (!found || rank(shift) < rank(best)) best = shift;
    found = true;
  }
  return candidates_ < max_candidates;
}

bool TerSearch::find_best_shift(Shift& best) {
  distance_.start(words_, reference_);
  distance_.trace(aligned_, hypothesis_errors_, reference_errors_);
  accumulate(hypothesis_errors_);
  accumulate(reference_errors_);
  bool found = false;
  for (size_t begin = 0; begin < words_.size(); ++begin) {
    const size_t from = begin > max_shift_distance ? begin - max_shift_distance : 0;
    const size_t to = std::min(reference_.size(), begin + max_shift_distance + 1);
    for (size_t other = from; other < to; ++other) {
      const size_t limit = std::min({max_shift_length, words_.size() - begin, reference_.size() - other});
      for (size_t length = 1; length <= limit; ++length) {
        if (words_[begin + length - 1] != reference_[other + length - 1]) break;
        if (is_worth_trying(begin, other, length) && !try_targets(begin, other, length, best, found)) return false;
      }
    }
  }
  return found && best.gain > 0;
}

int TerSearch::edits(Words hypothesis, Words reference) {
  if (reference.empty()) return int(hypothesis.size());
  words_.assign(hypothesis.begin(), hypothesis.end());
  reference_ = reference;
  candidates_ = 0;  // over all rounds; at the limit, the round's best shift is not made
  int shifts = 0;
  for (Shift best; find_best_shift(best); best = {}) {
    const size_t first = perform(best, shifted_).first;
    std::ranges::copy(shifted_, words_.begin() + std::ptrdiff_t(first));
    ++shifts;
  }
  return shifts + distance_.distance();
}

}  // namespace bough
