#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/random.h"
#include "core/base/special_ids.h"
#include "data/data_options.h"

namespace bough {

class SentencePieceModel;

/// How a vocabulary is stored, and with that how its text is split.
enum class VocabularyKind { sentencepiece, dictionary, plain_text };
/// By the path: `.spm`; `.yml`, `.yaml`, `.json`; anything else.
VocabularyKind vocabulary_kind(const std::string& path);

/// A mapping between text and token ids. The path decides the kind: `.spm` SentencePiece (raw text in
/// and out), `.yml`/`.yaml`/`.json` a dictionary `token: id`, anything else plain text with one token
/// per line; the latter two split lines on white space. `</s>` and `<unk>` have the ids that the file
/// gives them, as in Marian: 0 and 1 in what bough and Marian make, any in what others make. All const
/// members may be called from several threads.
class Vocabulary {
 public:
  ~Vocabulary();
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  /// The ids of `</s>` and `<unk>`.
  SpecialIds special() const { return special_; }
  /// Token ids of one line, without `</s>`. The text must be valid UTF-8.
  std::vector<int32_t> encode(std::string_view line) const;
  /// The same for a line that is in pieces already, separated by spaces (Marian's no-spm-encode).
  std::vector<int32_t> encode_pieces(std::string_view line) const;
  /// Token ids of a segmentation drawn at random, see SentencePieceModel::sample; only where can_sample().
  std::vector<int32_t> sample(std::string_view line, double alpha, RandomStream& random) const;
  /// Whether segmentations can be drawn (a unigram SentencePiece model).
  bool can_sample() const;
  /// The text of `ids` up to the first `</s>`; negative ids are skipped. Throws Error for an id >=
  /// size().
  std::string decode(std::span<const int32_t> ids) const;
  /// The text of tokens as they stand in the vocabulary file, or of any others, which stand for themselves.
  std::string decode_pieces(const std::vector<std::string>& pieces) const;
  /// The tokens that encode() makes of a line, encode_pieces() of one in pieces, as text: unknown ones as they stand
  /// there.
  std::vector<std::string> split(std::string_view line, bool is_in_pieces) const;
  /// Number of ids; the largest id is size() - 1.
  int32_t size() const { return size_; }
  /// The token as written in the vocabulary file. Throws Error unless 0 <= id < size().
  std::string piece(int32_t id) const;
  /// The id of a token as written in the vocabulary file; that of `<unk>` if there is none.
  int32_t id(std::string_view piece) const;
  /// A hash of the content: equal for equal vocabularies wherever they lie.
  uint64_t hash() const { return hash_; }
  const std::string& path() const { return path_; }
  bool is_sentencepiece() const { return model_ != nullptr; }

 private:
  friend std::shared_ptr<Vocabulary> load_vocabulary(const std::string&, int32_t);
  explicit Vocabulary(std::string path);
  void load_sentencepiece();
  void load_tokens(int32_t max_size);
  int32_t find_special(std::string_view token, std::string_view nematus_token, int32_t nematus_id) const;

  std::string path_;
  int32_t size_ = 0;
  SpecialIds special_;
  uint64_t hash_ = 0;
  std::unique_ptr<SentencePieceModel> model_;  // .spm
  std::vector<std::string> pieces_;            // the other kinds
  std::unordered_map<std::string, int32_t> ids_;
};

/// Reads a vocabulary. max_size > 0 keeps only ids below it (Marian's dim-vocabs; a SentencePiece
/// model is always whole). Throws Error if the file is missing, malformed, or has no `</s>` or `<unk>`.
std::shared_ptr<Vocabulary> load_vocabulary(const std::string& path, int32_t max_size = 0);

/// The vocabularies of options.paths, in order. One that exists is loaded; a missing one is made
/// from its stream of corpus.train_sets with at most corpus.dim_vocabs entries (0 = 32000 pieces
/// for SentencePiece, every token otherwise) and written there atomically. Streams with the same
/// path share one object, made from all their text (joint). The same text and options give the same bytes; of several
/// runs that miss one, the first makes it. Throws Error that names the option to change if a vocabulary cannot be made,
/// and where one is missing that `trained_model` (empty: none) was trained with.
std::vector<std::shared_ptr<Vocabulary>> load_or_create_vocabularies(const VocabularyOptions& options,
                                                                     const CorpusOptions& corpus,
                                                                     const std::string& trained_model = "");

}  // namespace bough
