#pragma once
#include <cstdint>
#include <memory>
#include <stop_token>
#include <vector>

#include "data/data_options.h"
#include "data/parallel_reader.h"
#include "data/token_cache.h"
#include "data/vocabulary.h"
#include "data/window_deal.h"

namespace bough {

/// Everything that decides which ids a line becomes.
struct EncodingRules {
  std::vector<std::shared_ptr<Vocabulary>> vocabularies;  ///< source, target
  bool in_pieces = false;                                 ///< no-spm-encode
  bool right_left = false;                                ///< targets are written from the last token on
  CorpusOptions corpus;                                   ///< files, max-length, max-length-crop, sentencepiece-alphas
  uint64_t seed = 0;                                      ///< of sampled segmentations
  int threads = 1;                                        ///< data-threads; without effect on the result
  std::shared_ptr<WindowDeal> deal = nullptr;             ///< of text that one of several processes reads for all
  int64_t stream_pass = 1;                                ///< see TrainingDataOptions

  /// sentencepiece-alphas: a side's segmentations are drawn anew in each epoch.
  double alpha(size_t side) const {
    return corpus.sentencepiece_alphas.empty() ? 0 : corpus.sentencepiece_alphas[side];
  }
  /// The end of sentence in each vocabulary.
  EndIds ends() const { return {vocabularies.front()->special().end, vocabularies.back()->special().end}; }
  /// Whether a segmentation of some side is drawn anew in every epoch.
  bool samples() const { return alpha(0) > 0 || alpha(1) > 0; }

  uint64_t hash() const;  ///< of what makes the best segmentations; files and threads left out
  uint64_t hash_of_alphas() const;
};

/// Which lines encode() takes, and how.
struct EncodingPass {
  int64_t most_lines = INT64_MAX;
  int64_t epoch = 0;  ///< segmentations: 0 the best ones; from 1 on sampled, as a function of (seed, epoch, line, side)
  std::stop_token stop;  ///< ends it early, with an Error
};

/// Encodes pairs of `reader` into `writer`, in order, on rules.threads threads. Returns false when the input has ended.
/// Throws Error for text that is not valid (file, line), and Interrupted (core/base/interrupt.h).
bool encode(ParallelReader& reader, const EncodingRules& rules, const EncodingPass& pass, TokenCacheWriter& writer);

}  // namespace bough
