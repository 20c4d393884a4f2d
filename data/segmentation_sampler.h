#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/random.h"

namespace bough {

/// Draws segmentations x of a text into pieces of a unigram model (Kudo 2018, arXiv 1804.10959, eq. 5, l = infinity):
///   P(x) = exp(alpha * score(x)) / sum over all segmentations y of exp(alpha * score(y)),
/// score(x) = the sum of log-probabilities of its pieces: 0 = all alike, larger = closer to the best one. Exact: a
/// pass from the end sums over the lattice, and pieces are drawn from the start on. Const members may be called from
/// several threads.
class SegmentationSampler {
 public:
  struct Piece {
    std::string text;
    int32_t id = 0;
    double score = 0;  ///< log-probability
  };

  /// `unknown`: id and score of a character that is no piece.
  SegmentationSampler(const std::vector<Piece>& pieces, const Piece& unknown);

  /// A segmentation of `text`, valid UTF-8: the pieces' ids and texts, which together are `text`.
  std::vector<Piece> sample(std::string_view text, double alpha, RandomStream& random) const;

 private:
  struct Entry {
    int32_t id = none;
    double score = 0;
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  static constexpr int32_t none = -1;

  /// visit(end, id, score) for every piece of text that begins at `begin`.
  template <class Visit>
  void for_each_piece(std::string_view text, size_t begin, Visit visit) const;

  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> entries_;  // pieces, and what pieces begin with
  Piece unknown_;
};

}  // namespace bough
