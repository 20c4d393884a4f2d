#include "core/allocator.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace bough {

size_t Allocator::allocate(size_t bytes) {
  bytes = std::max<size_t>((bytes + alignment - 1) / alignment, 1) * alignment;
  size_t offset = end_;
  if (const auto fit = by_size_.lower_bound({bytes, 0}); fit != by_size_.end()) {
    offset = fit->second;
    const size_t rest = fit->first - bytes;
    remove_gap(gaps_.find(offset));
    if (rest) add_gap(offset + bytes, rest);
  } else {
    end_ += bytes;
    peak_ = std::max(peak_, end_);
  }
  used_[offset] = bytes;
  return offset;
}

void Allocator::release(size_t offset) {
  const auto it = used_.find(offset);
  assert(it != used_.end());
  size_t bytes = it->second;
  used_.erase(it);
  if (const auto next = gaps_.lower_bound(offset); next != gaps_.end() && next->first == offset + bytes) {
    bytes += next->second;
    remove_gap(next);
  }
  if (auto before = gaps_.lower_bound(offset); before != gaps_.begin()) {
    before = std::prev(before);
    if (before->first + before->second == offset) {
      offset = before->first;
      bytes += before->second;
      remove_gap(before);
    }
  }
  if (offset + bytes == end_)
    end_ = offset;
  else
    add_gap(offset, bytes);
}

void Allocator::add_gap(size_t offset, size_t bytes) {
  gaps_[offset] = bytes;
  by_size_.insert({bytes, offset});
}

void Allocator::remove_gap(std::map<size_t, size_t>::iterator gap) {
  by_size_.erase({gap->second, gap->first});
  gaps_.erase(gap);
}

}  // namespace bough
