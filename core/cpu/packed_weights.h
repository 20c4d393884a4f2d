#pragma once
#include <map>
#include <memory>
#include <utility>

#include "core/cpu/int8_weight.h"

namespace bough {

/// The form in which a weight (n, k) is kept: panels (core/cpu/panels.h) of W^T, or W in 8 bits.
struct KeptForm {
  int64_t n = 0, k = 0;
  const float* panels = nullptr;
  std::shared_ptr<const void> memory = {};  ///< of the panels
  std::shared_ptr<const Int8Weight> int8 = {};
};

/// Weights that stay as they are for a while, found by where they lie. Read by the backends of all workers at once,
/// changed only while none of them works.
class PackedWeights {
 public:
  /// What products x W^T read, or with is_listed listed_logits; null where nothing is kept.
  const KeptForm* find(const void* weight, int64_t n, int64_t k, bool is_listed = false) const {
    const auto found = forms_.find({weight, is_listed});
    return found != forms_.end() && found->second.n == n && found->second.k == k ? &found->second : nullptr;
  }
  void add(const void* weight, bool is_listed, KeptForm form) { forms_[{weight, is_listed}] = std::move(form); }
  void remove(const void* weight, bool is_listed) { forms_.erase({weight, is_listed}); }

 private:
  std::map<std::pair<const void*, bool>, KeptForm> forms_;
};

}  // namespace bough
