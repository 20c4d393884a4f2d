#pragma once
#include <functional>
#include <vector>

#include "core/arena.h"
#include "core/backend.h"
#include "core/communicator.h"

namespace bough {

/// 0 .. elements, dealt out to ranks: in every round each of them gets a piece, `piece` elements long but for the last
/// ones. Every rank so owns a part of whatever is ready.
class RankPieces {
 public:
  RankPieces(int64_t elements, int ranks, int64_t piece) : elements_(elements), ranks_(ranks), piece_(piece) {}
  int64_t rounds() const;
  int64_t longest() const;  ///< of all pieces
  int64_t first(int64_t round, int rank) const;
  int64_t size(int64_t round, int rank) const { return first(round, rank + 1) - first(round, rank); }  ///< maybe 0
  int64_t end(int64_t round) const { return first(round + 1, 0); }
  int64_t total(int rank) const;  ///< of all rounds

 private:
  int64_t elements_, ranks_, piece_;
};

/// This rank's share of flat arenas (parameters, gradients, moments), which are dealt out to the ranks in pieces. What
/// each rank keeps for itself of an arena is a slice: its pieces, one behind the other. Sums over ranks are made by the
/// owner of a piece in the order of ranks: the same bits whatever carries them. In a run of one process the slice is
/// the arena, and nothing here costs anything. All ranks call alike, see Communicator.
class ArenaShare {
 public:
  /// Pieces are whole blocks of block_square_sums, whose sums then do not depend on the number of ranks.
  static constexpr int64_t block = square_sum_block;

  /// Of arenas of `elements` of `dtype`. With several ranks it takes memory for a piece of each.
  ArenaShare(Communicator& ranks, Backend& backend, int64_t elements, DType dtype);

  Communicator& ranks() const { return ranks_; }
  int64_t size() const { return pieces_.total(ranks_.rank()); }  ///< of a slice; maybe 0
  int64_t rounds() const { return pieces_.rounds(); }
  /// Where the pieces of a round end.
  int64_t end(int64_t round) const { return pieces_.end(round); }
  /// This rank's piece of a round, maybe of no elements: of an arena, and of a slice. Empty of an empty tensor.
  Tensor piece_of_arena(In arena, int64_t round) const;
  Tensor piece_of_slice(In slice, int64_t round) const;
  /// The pieces of a slice with their places in the arena; and this rank's pieces of an arena.
  std::vector<ArenaPiece> pieces(In slice) const;
  std::vector<ArenaPiece> pieces_of_arena(In arena) const;
  /// Where in a slice an element of the arena lies that is in one of this rank's pieces.
  int64_t place_in_slice(int64_t element) const;

  /// This rank's pieces of `arena` become the sum over all ranks' arenas.
  void sum(Out arena);
  /// Elements [0, ready) of an arena are what sum() will be called for: starts with them, as far as that goes without
  /// waiting for others. Until sum() has returned, no other call.
  void start_sum(Out arena, int64_t ready) { add_up(arena, ready, false); }
  /// Every owner's pieces of `arena` become everybody's.
  void gather(Out arena) { gather(arena, pieces_); }
  /// An arena whose slices are those given: on the first rank's host; on the others nothing. In a run of one process it
  /// is `slice`.
  WholeArena whole_on_first(In slice);

  /// Number of blocks of an arena; the numbers of those in this rank's piece of a round; and gather() for a tensor
  /// (blocks).
  int64_t blocks() const { return blocks_; }
  Tensor my_blocks(In all, int64_t round) const;
  void gather_blocks(Out all) { gather(all, block_pieces_); }

 private:
  void add_up(Out arena, int64_t ready, bool waits);
  std::function<bool(bool)> start_round(In arena, int64_t round);
  void sum_piece(Out piece);
  void gather(Out whole, const RankPieces& pieces);

  Communicator& ranks_;
  Backend& backend_;
  int64_t elements_, blocks_;
  RankPieces pieces_, block_pieces_;
  std::vector<Tensor> others_;          // a piece from every rank; its own is not there
  int64_t summed_ = 0;                  // rounds
  std::function<bool(bool)> arriving_;  // of the next one; empty: it has not been started
};

}  // namespace bough
