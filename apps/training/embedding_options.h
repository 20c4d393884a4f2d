#pragma once
#include <string>
#include <vector>

#include "core/base/settings.h"

namespace bough {

/// Embeddings that were trained elsewhere, to begin with.
struct EmbeddingOptions {
  std::vector<std::string> vectors;  ///< files: source, target; one for both where they share embeddings
  bool normalize = false;

  void settings(Settings& v);
  /// shared: both sides have one embedding.
  void validate(bool shared) const;
};

}  // namespace bough
