#pragma once
#include <vector>

#include "core/backend.h"
#include "core/communicator.h"

namespace bough {

/// Ranges of 0 .. elements, one for each rank: rank r owns [first(r), first(r + 1)), a multiple of `block` long but for
/// the last ones.
class RankSlices {
 public:
  RankSlices(int64_t elements, int ranks, int64_t block);
  int64_t first(int rank) const;
  int64_t size(int rank) const { return first(rank + 1) - first(rank); }
  int64_t longest() const { return size(0); }

 private:
  int64_t elements_, slice_;
};

/// This rank's share of flat arenas (parameters, gradients, moments), each of which is cut into a slice for every rank.
/// Sums over ranks are made by the owner of a slice in the order of ranks: the same bits whatever carries them. In a
/// run of one process the slice is the arena, and nothing here costs anything. All ranks call alike, see Communicator.
class ArenaShare {
 public:
  /// Slices are whole blocks of block_square_sums, whose sums then do not depend on the number of ranks.
  static constexpr int64_t block = square_sum_block;

  /// Of arenas of `elements` of `dtype`. With several ranks it takes memory for a piece of each.
  ArenaShare(Communicator& ranks, Backend& backend, int64_t elements, DType dtype);

  Communicator& ranks() const { return ranks_; }
  int64_t first() const { return slices_.first(ranks_.rank()); }  ///< element of an arena
  int64_t size() const { return slices_.size(ranks_.rank()); }    ///< maybe 0
  /// The slice of an arena.
  Tensor mine(In arena) const { return arena.view(first(), {size()}); }
  /// What of elements [begin, begin + count) of an arena lies in its slice, given the slice; empty where that is
  /// nothing.
  Tensor part_of(In slice, int64_t begin, int64_t count) const;

  /// mine(arena) becomes the sum over all ranks' arenas.
  void sum(Out arena);
  /// Every owner's slice of `arena` becomes everybody's.
  void gather(Out arena) { gather(arena, slices_); }
  /// An arena whose slices are those given; empty on all ranks but the first. In a run of one process it is `slice`.
  Tensor whole_on_first(In slice);

  /// Number of blocks of an arena; the numbers of those in the slice; and gather() for a tensor (blocks).
  int64_t blocks() const { return blocks_; }
  Tensor my_blocks(In all) const;
  void gather_blocks(Out all) { gather(all, block_slices_); }

 private:
  void sum_piece(Out piece);
  void gather(Out whole, const RankSlices& slices);

  Communicator& ranks_;
  Backend& backend_;
  int64_t elements_, blocks_;
  RankSlices slices_, block_slices_;
  int64_t piece_;
  std::vector<Tensor> others_;  // a piece of this rank's slice from every rank; its own is not there
};

}  // namespace bough
