#pragma once
#include <cstdint>
#include <string_view>

// Token ids with a meaning of their own: in vocabularies, batches and the kernels of every backend.

namespace bough {

inline constexpr int32_t end_id = 0;      ///< `</s>` of the vocabularies that bough makes, as in Marian
inline constexpr int32_t unknown_id = 1;  ///< `<unk>` of those
inline constexpr int32_t start_id = -2;   ///< first decoder input: a zero embedding, with its position
inline constexpr int32_t tail_id = -1;    ///< token, segment and label of rows beyond the last sentence: zero

inline constexpr std::string_view end_token = "</s>", unknown_token = "<unk>";  ///< in vocabulary files

/// The ids of `</s>` and `<unk>` in one vocabulary: vocabularies that others made may have any.
struct SpecialIds {
  int32_t end = end_id, unknown = unknown_id;
  bool operator==(const SpecialIds&) const = default;
};

/// The end of sentence on each side of a model.
struct EndIds {
  int32_t source = end_id, target = end_id;
};

}  // namespace bough
