#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "core/base/special_ids.h"

namespace bough {

/// A trained SentencePiece model (Kudo & Richardson 2018); the library is known to this pair of
/// files only. Const members may be called from several threads.
class SentencePieceModel {
 public:
  /// bytes: the content of a .spm file; path names it in errors. Throws Error unless it is a model
  /// that has `</s>`.
  SentencePieceModel(const std::string& bytes, const std::string& path);
  ~SentencePieceModel();

  /// The ids of `</s>` and `<unk>`.
  SpecialIds special() const;
  /// Ids of the best segmentation, without `</s>`.
  std::vector<int32_t> encode(std::string_view line) const;
  /// A segmentation drawn with probability proportional to exp(alpha * score), see SegmentationSampler: the
  /// distribution of the library's SampleEncode(line, -1, alpha), from random numbers of ours. Unigram models only.
  std::vector<int32_t> sample(std::string_view line, double alpha, RandomStream& random) const;
  /// Whether sample() can be called.
  bool is_unigram() const;
  /// The pieces of the best segmentation as text; unknown ones as they stand in the line.
  std::vector<std::string> split(std::string_view line) const;
  /// The text that the pieces spell; text that is no piece stands for itself.
  std::string decode(const std::vector<int32_t>& ids) const;
  std::string decode_pieces(const std::vector<std::string>& pieces) const;
  /// Pieces, special ones included.
  int32_t size() const;
  /// A piece as the model spells it, U+2581 for a space; and its id, that of `<unk>` for none.
  std::string piece(int32_t id) const;
  int32_t id(std::string_view piece) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a new model is trained with.
struct SentencePieceTraining {
  std::string path;      ///< names the vocabulary in errors
  int32_t size = 32000;  ///< pieces
  std::string options;   ///< "--name=value ...", passed on; the size is ours
};

/// Bytes of the longest line that is learned from: --max_sentence_length of the options, or what the library has.
size_t longest_line(const SentencePieceTraining& training);

/// Trains a model on `lines` and returns the bytes of its file; the same lines and options give the
/// same bytes. Throws Error that names the option to change.
std::string train_sentencepiece(const std::vector<std::string>& lines, const SentencePieceTraining& training);

}  // namespace bough
