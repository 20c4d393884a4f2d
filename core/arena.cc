#include "core/arena.h"

#include <algorithm>

namespace bough {

std::vector<ArenaPiece> parts_within(const std::vector<ArenaPiece>& pieces, int64_t first, int64_t count) {
  std::vector<ArenaPiece> parts;
  for (const ArenaPiece& piece : pieces) {
    const int64_t begin = std::max(first, piece.first);
    const int64_t end = std::min(first + count, piece.first + piece.values.size());
    if (begin < end) parts.push_back({begin, piece.values.view(begin - piece.first, {end - begin})});
  }
  return parts;
}

}  // namespace bough
