#pragma once
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/tensor.h"

namespace bough {

/// Panels (core/cpu/panels.h) of weights that stay as they are for a while, found by where the weights lie. Read by the
/// backends of all workers at once, changed only while none of them works.
class PackedWeights {
 public:
  /// The panels of W^T for a weight (n, k) at `weight`; null where there are none.
  const float* find(const void* weight, int64_t n, int64_t k) const {
    const auto found = places_.find(weight);
    return found != places_.end() && found->second.n == n && found->second.k == k ? found->second.panels : nullptr;
  }
  void add(const void* weight, int64_t n, int64_t k, const float* panels) { places_[weight] = {n, k, panels}; }
  void remove(const void* weight) { places_.erase(weight); }

 private:
  struct Place {
    int64_t n, k;
    const float* panels;
  };
  std::unordered_map<const void*, Place> places_;
};

}  // namespace bough
