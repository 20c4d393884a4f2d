#pragma once
#include <span>
#include <vector>

#include "core/backend.h"

namespace bough {

/// Collects integer arrays on the host, then hands out views of their copy on the backend: one block, one
/// transfer.
class IntegerBlock {
 public:
  /// Returns where the array begins, for view().
  size_t add(std::span<const int32_t> values) {
    constexpr size_t alignment = 64;
    const size_t first = host_.size();
    host_.insert(host_.end(), values.begin(), values.end());
    host_.resize((host_.size() + alignment - 1) / alignment * alignment);
    return first;
  }
  /// Integers added so far.
  int64_t size() const { return int64_t(host_.size()); }
  /// One copy, into memory of the arena.
  void upload(Backend& backend) { upload_to(backend, backend.allocate({size()}, DType::i32)); }
  /// To the beginning of (at least size()) memory that is there already.
  void upload_to(Backend& backend, In memory) {
    device_ = memory.view(0, {size()});
    backend.upload(device_, host_.data());
  }
  /// The integers from `first` on, on the backend; after upload.
  Tensor view(size_t first, Shape shape) const { return device_.view(int64_t(first), shape); }

 private:
  std::vector<int32_t> host_;
  Tensor device_;
};

}  // namespace bough
