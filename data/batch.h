#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/special_ids.h"

namespace bough {

/// Longest source and target that share an attention bin with others (DESIGN 4).
inline constexpr int32_t bin_tokens = 64;

/// One side of a batch: the T tokens of its S sentences one after another, nothing padded.
struct PackedSide {
  std::vector<int32_t> ids;             ///< (T) token ids; target: decoder inputs, start_id first
  std::vector<int32_t> positions;       ///< (T) position in the sentence, from 0
  std::vector<int32_t> segments;        ///< (T) number of the sentence in the batch, from 0
  std::vector<int32_t> offsets;         ///< (S+1) first row of each sentence, then T
  std::vector<int32_t> order;           ///< (T) row numbers sorted by id, equal ids in row order
  std::vector<int32_t> position_order;  ///< (T) the same by position
  int32_t row_offset = 0;               ///< number of the first row within the whole update, this side

  /// T, the tokens of all sentences.
  int32_t rows() const { return int32_t(ids.size()); }
  int32_t sentences() const { return offsets.empty() ? 0 : int32_t(offsets.size()) - 1; }
};

/// Consecutive sentences whose attention is computed in one tile: at most bin_tokens source and
/// target rows in all, or one longer sentence alone. q: rows of the target side (queries of cross
/// attention), k: rows of the source side. Decoder self-attention uses q for both, encoder
/// self-attention k.
struct Bin {
  int32_t first_sentence = 0, end_sentence = 0;  ///< [first, end)
  int32_t q0 = 0, nq = 0;                        ///< target rows [q0, q0 + nq)
  int32_t k0 = 0, nk = 0;                        ///< source rows [k0, k0 + nk)
  bool operator==(const Bin&) const = default;
};

/// What one forward and backward pass works on; host memory. Source rows of a sentence: pieces,
/// end_id. Target input rows: start_id, pieces. Labels: pieces, end_id. Sentences stand in bin
/// order.
struct Batch {
  PackedSide source, target;
  std::vector<int32_t> labels;  ///< (T target)
  std::vector<Bin> bins;
  /// Word alignments, empty without: the source tokens of a target row t are alignment_keys[i], positions in their
  /// sentence, alignment_offsets[t] <= i < alignment_offsets[t + 1].
  std::vector<int32_t> alignment_offsets;  ///< (T target + 1)
  std::vector<int32_t> alignment_keys;     ///< (N) points
  std::vector<int32_t> weights;       ///< (T target) floats in words: factors of the labels' losses; empty: all are 1
  std::vector<int64_t> sentence_ids;  ///< (S) the caller's number; when training, the corpus line from 0
  int32_t sentences() const { return int32_t(sentence_ids.size()); }
};

/// A sentence pair by reference, without end_id on either side.
struct SentencePair {
  std::span<const int32_t> source, target;
  int64_t id = 0;
  std::span<const int32_t> alignment = {};  ///< {source, target} of every point, see training_points()
  std::span<const int32_t> weights = {};    ///< floats in words: of every label, or one for all; empty: 1
};

/// Packs pairs into one batch: chooses bins (best fit, longest first, deterministic), orders the
/// sentences by bin and sorts the ids. Row numbers start at row_offset 0. `ends`: what stands for end_id on each side.
Batch pack(std::span<const SentencePair> pairs, EndIds ends = {});

/// The same for decoding: only the source side is filled, sentences stay in the given order, and
/// each bin holds consecutive sentences; nq = 0.
Batch pack_source(std::span<const SentencePair> sentences, int32_t end = end_id);

/// How many rows a side of `rows` gets where kernels are recorded, so that few shapes serve all batches: the smallest
/// of largest * 2^(k/8), k whole, rounded up to a multiple of 128. `largest`: rows of the usual batch, which stay as
/// they are but for the multiple.
int64_t shape_class(int64_t rows, int64_t largest);

}  // namespace bough
