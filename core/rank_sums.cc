#include "core/rank_sums.h"

#include <algorithm>

namespace bough {
namespace {

constexpr int64_t most_piece = 1 << 20;  // elements that travel at once from rank to rank

}  // namespace

RankSlices::RankSlices(int64_t elements, int ranks) : elements_(elements) {
  const int64_t share = (elements + ranks - 1) / ranks;
  slice_ = (share + block - 1) / block * block;
}

int64_t RankSlices::first(int rank) const { return std::min(slice_ * rank, elements_); }

RankSums::RankSums(Communicator& ranks, Backend& backend, int64_t elements, DType dtype)
    : ranks_(ranks),
      backend_(backend),
      slices_(elements, ranks.size()),
      piece_(std::min(slices_.longest(), most_piece)),
      others_(size_t(ranks.size())) {
  for (int r = 0; r < ranks.size(); ++r)
    if (r != ranks.rank()) others_[size_t(r)] = backend.allocate_persistent({piece_}, dtype);
}

void RankSums::add_up(Out arena) {
  add_up_pieces(arena);
  gather(arena);
}

/// Every rank gets the others' part of its slice, a piece at a time, and sums it up.
void RankSums::add_up_pieces(Out arena) {
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
    if (mine) add_up_mine(mine);
  }
}

void RankSums::add_up_mine(Out piece) {
  const auto part_of = [&](int rank) {
    return rank == ranks_.rank() ? piece : others_[size_t(rank)].view(0, piece.shape());
  };
  const Tensor sum = part_of(0);
  for (int r = 1; r < ranks_.size(); ++r) backend_.accumulate(add_to(sum), part_of(r));
  if (!ranks_.is_first()) backend_.accumulate(write_to(piece), sum);
}

/// Every owner's slice becomes everybody's.
void RankSums::gather(Out arena) {
  const auto slice_of = [&](int rank) {
    return slices_.size(rank) > 0 ? arena.view(slices_.first(rank), {slices_.size(rank)}) : Tensor();
  };
  std::vector<Tensor> received(others_.size()), sent(others_.size());
  for (int r = 0; r < ranks_.size(); ++r) {
    if (r == ranks_.rank()) continue;
    received[size_t(r)] = slice_of(r);
    sent[size_t(r)] = slice_of(ranks_.rank());
  }
  ranks_.all_to_all(received, sent);
}

void RankSums::add_up(std::vector<double>& values) {
  const size_t n = values.size();
  std::vector<double> all(n * size_t(ranks_.size()));
  ranks_.all_gather(values.data(), n * sizeof(double), all.data());
  for (size_t i = 0; i < n; ++i) {
    values[i] = all[i];
    for (size_t at = n + i; at < all.size(); at += n) values[i] += all[at];
  }
}

}  // namespace bough
