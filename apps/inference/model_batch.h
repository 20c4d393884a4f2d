#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/backend.h"
#include "data/batch.h"
#include "layers/transformer.h"

namespace bough {

/// Copies a batch to the backend: one block of integers, one transfer. The result holds the block.
/// A batch packed for decoding has an empty target.
ModelBatch upload_batch(Backend& backend, const Batch& batch);

/// What kernels are launched for. Batches of one shape give the same launches.
struct BatchShape {
  int64_t source_rows = 0, target_rows = 0, bins = 0;
  int64_t points = 0;   ///< of word alignments; 0: there are none
  int64_t longest = 0;  ///< rows that tables of positions need

  auto operator<=>(const BatchShape&) const = default;
  /// The key under which updates of this shape are recorded.
  std::string name() const;
};

/// Padded batches at a fixed place in the backend's memory, so that records of kernels can read them: one for each
/// shape, all in the same memory, of which one at a time is in use. Rows beyond a batch's own have token, segment
/// and label -1 (core/kernels.def).
class BatchPlaces {
 public:
  /// The usual number of rows a side, for shape_class; 0: powers of two.
  void set_usual_rows(int64_t source, int64_t target) { usual_source_ = source, usual_target_ = target; }
  /// `most_positions`: of a table of positions that does not grow; 0: none.
  BatchShape shape_of(const Batch& batch, int64_t most_positions) const;
  /// Copies the batch to the place of its shape: one transfer.
  const ModelBatch& upload(Backend& backend, const Batch& batch, const BatchShape& shape);

 private:
  int64_t usual_source_ = 0, usual_target_ = 0;
  struct Place {
    Tensor memory;
    ModelBatch batch;
  };
  std::map<BatchShape, Place> places_;
  Tensor memory_;
};

/// Tokens of a sentence, where nothing is known of the text.
inline constexpr int64_t usual_length = 30;

/// A batch of the null backend's kind, of so many rows a side, in equal sentences of about usual_length, at most
/// `longest`, rows: shapes for the memory plan. Attention needs memory per row only, so any length would do.
/// is_aligned: with word alignments; is_weighted: with weights.
Batch imagined_batch(int64_t source_rows, int64_t target_rows, int64_t longest, bool is_aligned = false,
                     bool is_weighted = false);

}  // namespace bough
