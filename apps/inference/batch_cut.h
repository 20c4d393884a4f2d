#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "data/data_options.h"

namespace bough {

/// What a sentence, or a pair, takes of its batch; and what a batch takes.
struct BatchSize {
  int64_t source_tokens = 0, target_tokens = 0;  ///< end_id included; 0 for a side that is not there yet
  int64_t longest_result = 0;                    ///< tokens that its translation may have; of a batch: the longest
  int64_t sentences = 1;
};

/// Cuts sentences into batches of their numbers, the longest first unless `limits.maxi_batch_sort` is none: what is
/// finished last is then short. A batch is within mini-batch-words on each side, or without that within mini-batch
/// sentences, and `fits`; a sentence that is not is a batch of its own. Lengths are those of `limits.maxi_batch_sort`'s
/// side, or of the only one.
std::vector<std::vector<size_t>> cut_batches(const std::vector<BatchSize>& sentences, const BatchOptions& limits,
                                             const std::function<bool(const BatchSize&)>& fits);

}  // namespace bough
