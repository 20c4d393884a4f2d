#pragma once
#include <string>
#include <vector>

namespace bough {

/// Writes the mean of the models `inputs` (one or more of the same shape), element by element, summed in
/// f64; special:model.yml is the last one's.
/// fold: the scales of deepnorm and branchnorm go into the weights, LN(a x + c F) = LN(x + (c/a) F) up to
/// the epsilon: Wo, bo and the last FFN matrix and bias of every sublayer times c/a. The result is a plain
/// post-ln model that other programs read.
/// Throws Error naming the file: unreadable, no model, names or shapes that differ from the first's,
/// `output` cannot be written.
void average_models(const std::string& output, const std::vector<std::string>& inputs, bool fold);

}  // namespace bough
