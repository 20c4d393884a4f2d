#include "data/segmentation_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bough {
namespace {

/// Where the character that begins at `at` ends.
size_t character_end(std::string_view text, size_t at) {
  do ++at;
  while (at < text.size() && (uint8_t(text[at]) & 0xC0) == 0x80);
  return at;
}

}  // namespace

SegmentationSampler::SegmentationSampler(const std::vector<Piece>& pieces, const Piece& unknown) : unknown_(unknown) {
  for (const Piece& piece : pieces) {
    for (size_t end = 0; end < piece.text.size();) entries_[piece.text.substr(0, end = character_end(piece.text, end))];
    entries_[piece.text] = {piece.id, piece.score};
  }
}

template <class Visit>
void SegmentationSampler::for_each_piece(std::string_view text, size_t begin, Visit visit) const {
  const size_t first_end = character_end(text, begin);
  bool has_single = false;
  for (size_t end = first_end;; end = character_end(text, end)) {
    const auto found = entries_.find(text.substr(begin, end - begin));
    if (found == entries_.end()) break;
    if (found->second.id != none) {
      has_single |= end == first_end;
      visit(end, found->second.id, found->second.score);
    }
    if (end == text.size()) break;
  }
  if (!has_single) visit(first_end, unknown_.id, unknown_.score);
}

std::vector<SegmentationSampler::Piece> SegmentationSampler::sample(std::string_view text, double alpha,
                                                                    RandomStream& random) const {
  // rest[i]: log of the summed weights of all segmentations of what begins at byte i.
  std::vector<double> rest(text.size() + 1, 0.0), weights;
  for (size_t begin = text.size(); begin-- > 0;) {
    if (begin > 0 && (uint8_t(text[begin]) & 0xC0) == 0x80) continue;
    weights.clear();
    for_each_piece(text, begin,
                   [&](size_t end, int32_t, double score) { weights.push_back(alpha * score + rest[end]); });
    const double most = *std::max_element(weights.begin(), weights.end());
    double sum = 0;  // relative to the largest: no overflow
    for (const double weight : weights) sum += std::exp(weight - most);
    rest[begin] = most + std::log(sum);
  }
  std::vector<Piece> drawn;
  for (size_t begin = 0; begin < text.size();) {
    double left = random.uniform();
    size_t chosen_end = 0;
    Piece chosen;
    for_each_piece(text, begin, [&](size_t end, int32_t id, double score) {
      if (chosen_end != 0 && left < 0) return;
      left -= std::exp(alpha * score + rest[end] - rest[begin]);
      chosen_end = end;  // the last one where rounding leaves a remainder
      chosen.id = id;
      chosen.score = score;
    });
    chosen.text = text.substr(begin, chosen_end - begin);
    drawn.push_back(std::move(chosen));
    begin = chosen_end;
  }
  return drawn;
}

}  // namespace bough
