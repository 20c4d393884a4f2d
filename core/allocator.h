#pragma once
#include <cstddef>
#include <map>
#include <set>

namespace bough {

/// Hands out ranges of [0, infinity) and takes them back: best fit over the gaps, neighbours merged,
/// everything aligned to 256 bytes. It never touches memory, so the null backend uses it to learn the
/// peak of a run before any memory exists, and the same sequence of calls gives the same offsets on
/// every backend (CUDA graphs rely on that).
class Allocator {
 public:
  static constexpr size_t alignment = 256;

  size_t allocate(size_t bytes);  ///< returns the offset; 0 bytes take one aligned unit
  void release(size_t offset);

  size_t peak() const { return peak_; }  ///< the largest end of any range so far: the memory needed
  /// To the end of the ranges that are out now; 0 where there are none.
  void reset_peak() { peak_ = end_; }

 private:
  void add_gap(size_t offset, size_t bytes);
  void remove_gap(std::map<size_t, size_t>::iterator gap);

  std::map<size_t, size_t> used_, gaps_;         // offset -> bytes
  std::set<std::pair<size_t, size_t>> by_size_;  // (bytes, offset) of every gap
  size_t end_ = 0, peak_ = 0;                    // end_: everything from here on is free
};

}  // namespace bough
