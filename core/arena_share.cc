#include "core/arena_share.h"

#include <algorithm>
#include <utility>

#include "core/base/rounding.h"

namespace bough {
namespace {

/// Elements of a piece: large enough for a link, small beside the arena, so that an exchange can begin early, and a
/// piece of every rank takes little memory.
int64_t piece_size(int64_t elements, int ranks) {
  constexpr int64_t most = 1 << 20, rounds = 16;
  static_assert(most % ArenaShare::block == 0);
  if (ranks == 1) return elements;
  return std::min(round_up(divide_up(elements, ranks * rounds), ArenaShare::block), most);
}

Tensor piece_of(In whole, const RankPieces& pieces, int64_t round, int rank) {
  return whole ? whole.view(pieces.first(round, rank), {pieces.size(round, rank)}) : Tensor();
}

void add(std::vector<Message>& messages, int rank, const Tensor& tensor) {
  if (tensor.size() > 0) messages.push_back({rank, tensor});
}

}  // namespace

int64_t RankPieces::rounds() const { return divide_up(elements_, piece_ * ranks_); }

int64_t RankPieces::longest() const { return std::min(piece_, elements_); }

int64_t RankPieces::first(int64_t round, int rank) const {
  return std::min((round * ranks_ + rank) * piece_, elements_);
}

int64_t RankPieces::total(int rank) const {
  const int64_t last = rounds() - 1;  // only there, pieces are shorter
  return last * piece_ + size(last, rank);
}

ArenaShare::ArenaShare(Communicator& ranks, Backend& backend, int64_t elements, DType dtype)
    : ranks_(ranks),
      backend_(backend),
      elements_(elements),
      blocks_(divide_up(elements, block)),
      pieces_(elements, ranks.size(), piece_size(elements, ranks.size())),
      block_pieces_(blocks_, ranks.size(), divide_up(pieces_.longest(), block)),
      others_(size_t(ranks.size())) {
  for (int r = 0; r < ranks.size(); ++r)
    if (r != ranks.rank()) others_[size_t(r)] = backend.allocate_persistent({pieces_.longest()}, dtype);
}

Tensor ArenaShare::piece_of_arena(In arena, int64_t round) const {
  return piece_of(arena, pieces_, round, ranks_.rank());
}

Tensor ArenaShare::piece_of_slice(In slice, int64_t round) const {
  const int64_t first = std::min(round * pieces_.longest(), size());
  return slice ? slice.view(first, {pieces_.size(round, ranks_.rank())}) : Tensor();
}

std::vector<ArenaPiece> ArenaShare::pieces(In slice) const {
  std::vector<ArenaPiece> pieces;
  for (int64_t round = 0; round < rounds(); ++round)
    pieces.push_back({pieces_.first(round, ranks_.rank()), piece_of_slice(slice, round)});
  return pieces;
}

std::vector<ArenaPiece> ArenaShare::pieces_of_arena(In arena) const {
  std::vector<ArenaPiece> pieces;
  for (int64_t round = 0; round < rounds(); ++round)
    pieces.push_back({pieces_.first(round, ranks_.rank()), piece_of_arena(arena, round)});
  return pieces;
}

int64_t ArenaShare::place_in_slice(int64_t element) const {
  const int64_t round = element / pieces_.end(0);  // only the last rounds are shorter
  return round * pieces_.longest() + element - pieces_.first(round, ranks_.rank());
}

void ArenaShare::sum(Out arena) {
  if (ranks_.is_alone()) return;
  add_up(arena, elements_, true);
  summed_ = 0;
}

/// One round after another, each of which ends before `ready`.
void ArenaShare::add_up(Out arena, int64_t ready, bool waits) {
  while (summed_ < rounds() && pieces_.end(summed_) <= ready) {
    if (!arriving_) arriving_ = start_round(arena, summed_);
    if (!arriving_(waits)) return;
    arriving_ = nullptr;
    sum_piece(piece_of_arena(arena, summed_));
    ++summed_;
  }
}

/// Every rank gets the others' part of its piece.
std::function<bool(bool)> ArenaShare::start_round(In arena, int64_t round) {
  const Tensor mine = piece_of_arena(arena, round);
  std::vector<Message> received, sent;
  for (int r = 0; r < ranks_.size(); ++r) {
    if (r == ranks_.rank()) continue;
    add(sent, r, piece_of(arena, pieces_, round, r));
    add(received, r, others_[size_t(r)].view(0, mine.shape()));
  }
  return ranks_.start_all_to_all(received, sent);
}

void ArenaShare::sum_piece(Out piece) {
  if (piece.size() == 0) return;
  const auto part_of = [&](int rank) {
    return rank == ranks_.rank() ? piece : others_[size_t(rank)].view(0, piece.shape());
  };
  const Tensor sum = part_of(0);
  for (int r = 1; r < ranks_.size(); ++r) backend_.accumulate(add_to(sum), part_of(r));
  if (!ranks_.is_first()) backend_.accumulate(write_to(piece), sum);
}

void ArenaShare::gather(Out whole, const RankPieces& pieces) {
  if (ranks_.is_alone()) return;
  std::vector<Message> received, sent;
  for (int64_t round = 0; round < pieces.rounds(); ++round) {
    const Tensor mine = piece_of(whole, pieces, round, ranks_.rank());
    for (int r = 0; r < ranks_.size(); ++r) {
      if (r == ranks_.rank()) continue;
      add(received, r, piece_of(whole, pieces, round, r));
      add(sent, r, mine);
    }
  }
  ranks_.all_to_all(received, sent);
}

/// Through the room for others' pieces: the memory of the device may be full.
WholeArena ArenaShare::whole_on_first(In slice) {
  if (ranks_.is_alone()) return slice;
  std::vector<float> whole(ranks_.is_first() ? size_t(elements_) : 0), piece;
  const auto keep = [&](int64_t round, int rank, const Tensor& values) {
    backend_.download(piece, values);
    std::ranges::copy(piece, whole.begin() + pieces_.first(round, rank));
  };
  for (int64_t round = 0; round < rounds(); ++round) {
    const Tensor mine = piece_of_slice(slice, round);
    std::vector<Message> received, sent;
    if (ranks_.is_first())
      for (int r = 1; r < ranks_.size(); ++r) add(received, r, others_[size_t(r)].view(0, {pieces_.size(round, r)}));
    else
      add(sent, 0, mine);
    ranks_.all_to_all(received, sent);
    if (!ranks_.is_first()) continue;
    keep(round, 0, mine);
    for (const auto& [rank, values] : received) keep(round, rank, values);
  }
  return whole;
}

Tensor ArenaShare::my_blocks(In all, int64_t round) const { return piece_of(all, block_pieces_, round, ranks_.rank()); }

}  // namespace bough
