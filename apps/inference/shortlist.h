#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/vocabulary.h"

namespace bough {

/// The option shortlist: PATH [FIRST [BEST [PRUNE]]], or PATH CHECK for a binary file.
struct ShortlistOptions {
  std::string path;  ///< empty: the whole vocabulary
  int first = 100, best = 100;
  double prune = 0;
  bool is_checked = true;  ///< whether a binary file's checksum is compared
};
bool parse_items(const std::vector<std::string>& items, ShortlistOptions& options);
std::vector<std::string> format_items(const ShortlistOptions& options);

/// The target words that a sentence may be translated with (lexical shortlists; Marian's formats): the `first` ids of
/// the vocabulary, the likely translations of each of its words, the words themselves where both sides have one
/// vocabulary, and the end of sentence; filled up to a multiple of eight with the lowest ids that are left. A function
/// of the sentence alone, never of its batch.
///   binary  u64 magic, checksum, first, best, number of offsets (source words + 1), number of ids; u64 offsets; u32
///   ids text    lines `target source probability` of pieces; of each source word the `best` most probable above
///   `prune`
class Shortlist {
 public:
  /// Throws Error naming the file: missing, damaged, made for vocabularies of other sizes, a line that is none.
  Shortlist(const ShortlistOptions& options, const Vocabulary& source, const Vocabulary& target);

  /// Sorted ids. tokens: of the sentence, without its end; always: words that must be in it; banned (or -1) never is.
  std::vector<int32_t> words(std::span<const int32_t> tokens, std::span<const int32_t> always, int32_t banned) const;

 private:
  void read_binary(const std::string& content, const ShortlistOptions& options);
  void read_text(const ShortlistOptions& options, const Vocabulary& source, const Vocabulary& target);

  std::string path_;
  int32_t source_words_, target_words_;
  SpecialIds source_special_, target_special_;
  bool is_shared_;
  int64_t first_ = 0;
  std::vector<uint64_t> offsets_;  // of every source word, then the number of ids
  std::vector<int32_t> ids_;
};

}  // namespace bough
