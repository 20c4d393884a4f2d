#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/batch.h"

namespace bough {

/// What the first pass over a corpus found.
struct CorpusStatistics {
  int64_t lines = 0;                             ///< pairs read
  int64_t pairs = 0;                             ///< pairs kept
  int64_t source_tokens = 0, target_tokens = 0;  ///< of the kept ones, incl. end of sentence
  int64_t dropped = 0, cropped = 0;              ///< pairs with a side longer than max-length
  int32_t longest_source = 0, longest_target = 0;

  /// Source tokens for each target token; 1 for an empty corpus.
  double length_ratio() const { return target_tokens > 0 ? double(source_tokens) / double(target_tokens) : 1.0; }
  /// Joins what was found in another part of the corpus.
  void add(const CorpusStatistics& other);
};

/// Consecutive corpus lines as token ids, without end_id.
struct TokenBlock {
  int64_t first_line = 0;            ///< from 0
  std::vector<uint32_t> line_delta;  ///< (n) line of a pair minus first_line
  std::vector<uint32_t> offsets{0};  ///< (columns n + 1) into ids: source 0, target 0, [alignment 0,] [weights 0,] ...
  std::vector<int32_t> ids;          ///< and the numbers of alignment points
  bool has_alignments = false;       ///< of all blocks of a cache, or none
  bool has_weights = false;          ///< likewise
  CorpusStatistics found;

  uint32_t columns() const { return 2 + uint32_t(has_alignments) + uint32_t(has_weights); }
  /// Appends a pair, line: minus first_line; `points`, `weights`: as SentencePair has them, where there are any.
  void add(uint32_t line, const std::vector<int32_t>& source, const std::vector<int32_t>& target,
           const std::vector<int32_t>& points = {}, const std::vector<int32_t>& weights = {});
};

/// A pair's place in a cache: block * 2^16 + number in the block.
using PairRef = uint64_t;
inline constexpr uint32_t block_lines = 256;  ///< lines of one block; fixes how a corpus is shuffled

/// An encoded corpus: written once, then mapped into memory and read at random.
///   header | blocks | table of blocks | how many sentences have 0, 1, 2, ... rows, source then
///   target
/// in the byte order of the machine; a block: header, line numbers, offsets, ids. Parts are
/// 8-aligned. Const members may be called from several threads.
class TokenCache {
 public:
  ~TokenCache();
  TokenCache(const TokenCache&) = delete;
  TokenCache& operator=(const TokenCache&) = delete;

  /// Maps a file made by TokenCacheWriter; null if it is missing, changed in any byte since (it is read once as a
  /// whole), a link, or made for another key.
  static std::unique_ptr<TokenCache> open(const std::string& path, uint64_t key);
  /// The same on the bytes of such a file.
  static std::unique_ptr<TokenCache> adopt(std::vector<char> bytes, uint64_t key);
  /// The file's bytes.
  std::string_view bytes() const { return {data_, size_}; }

  /// Of the whole corpus.
  const CorpusStatistics& statistics() const;
  uint64_t fingerprint() const;  ///< hash of all ids
  /// Rows of the `sentences` longest sentences of a side (0 source, 1 target) together.
  int64_t rows_of_longest(int64_t sentences, int side) const;
  /// Blocks are numbered from 0; pairs_in: how many pairs of a block were kept.
  uint32_t blocks() const;
  uint32_t pairs_in(uint32_t block) const;
  SentencePair pair(PairRef ref) const;  ///< points into the mapping
  void will_need(uint32_t block) const;  ///< starts reading it from the disk

 private:
  TokenCache() = default;
  bool is_whole(uint64_t key) const;
  bool has_layout() const;
  uint64_t checksum() const;

  const char* data_ = nullptr;
  size_t size_ = 0;
  std::vector<char> owned_;  // adopt
};

/// Writes an encoded corpus block by block, to a file or (path "") into memory.
class TokenCacheWriter {
 public:
  /// key: of text, vocabularies and rules, which open() asks for again.
  TokenCacheWriter(const std::string& path, uint64_t key);
  ~TokenCacheWriter();

  /// Appends a block, in the order of lines.
  void add(const TokenBlock& block);
  const CorpusStatistics& statistics() const;
  /// The file appears under its name; returns it opened.
  std::unique_ptr<TokenCache> finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bough
