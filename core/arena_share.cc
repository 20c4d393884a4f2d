#include "core/arena_share.h"

#include <algorithm>

#include "core/base/rounding.h"

namespace bough {
namespace {

constexpr int64_t most_piece = 1 << 20;  // elements that travel at once from rank to rank

/// What rank `rank` owns of a tensor; empty where that is nothing.
Tensor slice_of(In whole, const RankSlices& slices, int rank) {
  return slices.size(rank) > 0 ? whole.view(slices.first(rank), {slices.size(rank)}) : Tensor();
}

}  // namespace

RankSlices::RankSlices(int64_t elements, int ranks, int64_t block)
    : elements_(elements), slice_(ranks == 1 ? elements : round_up(divide_up(elements, ranks), block)) {}

int64_t RankSlices::first(int rank) const { return std::min(slice_ * rank, elements_); }

ArenaShare::ArenaShare(Communicator& ranks, Backend& backend, int64_t elements, DType dtype)
    : ranks_(ranks),
      backend_(backend),
      elements_(elements),
      blocks_(divide_up(elements, block)),
      slices_(elements, ranks.size(), block),
      block_slices_(blocks_, ranks.size(), 1),
      piece_(std::min(slices_.longest(), most_piece)),
      others_(size_t(ranks.size())) {
  for (int r = 0; r < ranks.size(); ++r)
    if (r != ranks.rank()) others_[size_t(r)] = backend.allocate_persistent({piece_}, dtype);
}

Tensor ArenaShare::part_of(In slice, int64_t begin, int64_t count) const {
  const int64_t from = std::max(begin - first(), int64_t{0}), to = std::min(begin + count - first(), size());
  return from < to ? slice.view(from, {to - from}) : Tensor();
}

/// Every rank gets the others' part of its slice, a piece at a time, and sums it up.
void ArenaShare::sum(Out arena) {
  if (ranks_.is_alone()) return;
  for (int64_t at = 0; at < slices_.longest(); at += piece_) {
    const auto piece_of = [&](int rank) {
      const int64_t size = std::clamp<int64_t>(slices_.size(rank) - at, 0, piece_);
      return size > 0 ? arena.view(slices_.first(rank) + at, {size}) : Tensor();
    };
    const Tensor mine = piece_of(ranks_.rank());
    std::vector<Tensor> received(others_.size()), sent(others_.size());
    for (int r = 0; r < ranks_.size(); ++r) {
      if (r == ranks_.rank()) continue;
      sent[size_t(r)] = piece_of(r);
      if (mine) received[size_t(r)] = others_[size_t(r)].view(0, mine.shape());
    }
    ranks_.all_to_all(received, sent);
    if (mine) sum_piece(mine);
  }
}

void ArenaShare::sum_piece(Out piece) {
  const auto part_of = [&](int rank) {
    return rank == ranks_.rank() ? piece : others_[size_t(rank)].view(0, piece.shape());
  };
  const Tensor sum = part_of(0);
  for (int r = 1; r < ranks_.size(); ++r) backend_.accumulate(add_to(sum), part_of(r));
  if (!ranks_.is_first()) backend_.accumulate(write_to(piece), sum);
}

void ArenaShare::gather(Out whole, const RankSlices& slices) {
  if (ranks_.is_alone()) return;
  std::vector<Tensor> received(others_.size()), sent(others_.size());
  for (int r = 0; r < ranks_.size(); ++r) {
    if (r == ranks_.rank()) continue;
    received[size_t(r)] = slice_of(whole, slices, r);
    sent[size_t(r)] = slice_of(whole, slices, ranks_.rank());
  }
  ranks_.all_to_all(received, sent);
}

Tensor ArenaShare::whole_on_first(In slice) {
  if (ranks_.is_alone()) return slice;
  Tensor whole;
  std::vector<Tensor> received(others_.size()), sent(others_.size());
  if (ranks_.is_first()) {
    whole = backend_.allocate_persistent({elements_}, slice.dtype());
    backend_.accumulate(write_to(mine(whole)), slice);
    for (int r = 1; r < ranks_.size(); ++r) received[size_t(r)] = slice_of(whole, slices_, r);
  } else if (size() > 0) {
    sent[0] = slice;
  }
  ranks_.all_to_all(received, sent);
  return whole;
}

Tensor ArenaShare::my_blocks(In all) const {
  return all.view(block_slices_.first(ranks_.rank()), {block_slices_.size(ranks_.rank())});
}

}  // namespace bough
