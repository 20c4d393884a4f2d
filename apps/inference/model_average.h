#pragma once
#include <string>
#include <vector>

namespace bough {

/// Writes the mean of the models `inputs` (one or more of the same shape), element by element, summed in
/// f64; special:model.yml is the last one's.
/// fold: the result is a plain model that other programs read, see make_plain.
/// Throws Error naming the file: unreadable, no model, names or shapes that differ from the first's,
/// `output` cannot be written.
void average_models(const std::string& output, const std::vector<std::string>& inputs, bool fold);

}  // namespace bough
