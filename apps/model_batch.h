#pragma once
#include "core/backend.h"
#include "data/batch.h"
#include "layers/transformer.h"

namespace bough {

/// Copies a batch to the backend: one block of integers, one transfer. The result holds the block.
/// A batch packed for decoding has an empty target.
ModelBatch upload_batch(Backend& backend, const Batch& batch);

/// A batch of the null backend's kind, of `sentences` equal sentences with these rows a side: shapes
/// for the memory plan.
Batch imagined_batch(int64_t sentences, int64_t source_rows, int64_t target_rows);

}  // namespace bough
