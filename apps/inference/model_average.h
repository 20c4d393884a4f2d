#pragma once
#include <string>
#include <vector>

#include "apps/inference/int8_export.h"

namespace bough {

/// Writes the mean of the models `inputs` (one or more of the same shape), element by element, summed in
/// f64; special:model.yml is the last one's. Where their alphas differ each is folded first, and the result is plain.
/// fold: the result is a plain model that other programs read, see make_plain. in_half: of binary16.
/// Throws Error naming the file: unreadable, no model, options (heads, residual kind, ...), names or shapes that differ
/// from the first's, a number that binary16 lacks, `output` cannot be written.
void average_models(const std::string& output, const std::vector<std::string>& inputs, bool fold, bool in_half = false);

/// The same as a model for int8 products: folded, and written by export_int8.
void average_to_int8(const std::string& output, const std::vector<std::string>& inputs, const Calibration& calibration);

}  // namespace bough
