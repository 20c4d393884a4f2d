#pragma once
#include <vector>

#include "core/backend.h"
#include "core/communicator.h"

namespace bough {

/// A flat arena of n elements, shared out among ranks: rank r owns [first(r), first(r + 1)), a multiple of 2^16 long
/// but for the last ones.
class RankSlices {
 public:
  static constexpr int64_t block = 1 << 16;
  RankSlices(int64_t elements, int ranks);
  int64_t first(int rank) const;
  int64_t size(int rank) const { return first(rank + 1) - first(rank); }
  int64_t longest() const { return size(0); }

 private:
  int64_t elements_, slice_;
};

/// Sums over all ranks, by the owners of slices in the order of ranks: the same bits on every rank, whatever carries
/// them.
class RankSums {
 public:
  /// For arenas of `elements` of `dtype`; takes memory for a piece of every rank.
  RankSums(Communicator& ranks, Backend& backend, int64_t elements, DType dtype);

  /// arena = its sum over all ranks.
  void add_up(Out arena);
  /// values[i] = its sum over all ranks; host memory.
  void add_up(std::vector<double>& values);

 private:
  void add_up_pieces(Out arena);
  void add_up_mine(Out piece);
  void gather(Out arena);

  Communicator& ranks_;
  Backend& backend_;
  RankSlices slices_;
  int64_t piece_;
  std::vector<Tensor> others_;  // a piece of this rank's slice from every rank; its own is not there
};

}  // namespace bough
