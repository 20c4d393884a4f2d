#pragma once
#include <memory>
#include <vector>

#include "data/data_options.h"
#include "data/parallel_reader.h"
#include "data/token_cache.h"
#include "data/vocabulary.h"

namespace bough {

/// Everything that decides which ids a line becomes.
struct EncodingRules {
  std::vector<std::shared_ptr<Vocabulary>> vocabularies;  ///< source, target
  bool in_pieces = false;                                 ///< no-spm-encode
  bool right_left = false;                                ///< targets are written from the last token on
  CorpusOptions corpus;                                   ///< files, max-length, max-length-crop
  int threads = 1;  ///< data-threads; without effect on the result

  uint64_t hash() const;  ///< of all of it but the files and threads
};

/// Encodes at most `most_lines` pairs of `reader` into `writer`, in order, on rules.threads
/// threads. Returns false when the input has ended. Throws Error for text that is not valid (file,
/// line).
bool encode(ParallelReader& reader, const EncodingRules& rules, int64_t most_lines,
            TokenCacheWriter& writer);

}  // namespace bough
