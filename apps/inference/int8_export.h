#pragma once
#include <string>
#include <vector>

#include "apps/inference/model_export.h"

namespace bough {

/// Text that a model translates to find out how large the inputs of its products are.
struct Calibration {
  std::string corpus;                     ///< source lines; "" = none
  std::vector<std::string> vocabularies;  ///< source, target
};

/// Writes a plain model (see make_plain) as Marian's binary model of type intgemm8: matrices of products and embeddings
/// in 8 bits by 127 / max |w| of each, the rest in f32. After a calibration with the multipliers of activations, too:
/// 127 / (m + 1.1 s) for mean m and standard deviation s of max |x| over the products of a weight. Throws Error if
/// `output` cannot be written, the corpus cannot be read or has no words, or the vocabularies are not the model's.
/// input: the file of the model, for messages.
void export_int8(const std::string& output, const std::string& input, const ModelOptions& options,
                 const std::vector<ModelArray>& arrays, const Calibration& calibration);

}  // namespace bough
