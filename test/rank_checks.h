#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/arena_share.h"
#include "test/training_run.h"

// What any communicator must do, and what its ranks compute.

namespace bough {

/// The micro-batches of one rank.
inline UpdateBatches share_of(const UpdateBatches& update, const Communicator& ranks) {
  UpdateBatches share = update;
  share.micro.clear();
  for (size_t i = size_t(ranks.rank()); i < update.micro.size(); i += size_t(ranks.size()))
    share.micro.push_back(update.micro[i]);
  return share;
}

/// |a - b| / |a|.
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double(a[i]) - b[i], 2);
    size += std::pow(double(a[i]), 2);
  }
  return std::sqrt(difference / size);
}

/// A sum of 2.5 slices and a bit whose value depends on the order of ranks.
inline void check_sums(Communicator& ranks, Backend& backend) {
  const int64_t n = 5 * ArenaShare::block / 2 + 3;
  const auto value_of = [](int rank, int64_t i) {
    return float(std::pow(10.0, (i + 3 * rank) % 9)) / float(1 + i % 7);
  };
  auto values = std::vector<float>(size_t(n));
  for (int64_t i = 0; i < n; ++i) values[size_t(i)] = value_of(ranks.rank(), i);
  const Tensor arena = backend.allocate_persistent({n}, DType::f32);
  backend.upload(arena, values.data());
  ArenaShare share(ranks, backend, n, DType::f32);
  share.sum(arena);
  share.gather(arena);
  backend.download(values.data(), arena);
  int64_t wrong = 0;
  for (int64_t i = 0; i < n; ++i) {
    float sum = value_of(0, i);
    for (int r = 1; r < ranks.size(); ++r) sum += value_of(r, i);
    wrong += values[size_t(i)] != sum;
  }
  check(wrong == 0, "rank {}: {} of {} sums are wrong", ranks.rank(), wrong, n);
}

/// Texts of several pieces, the first rank's the shortest.
inline void check_long_texts(Communicator& ranks) {
  const auto text_of = [](int rank) {
    std::string text(size_t(9000000 * rank + 7), ' ');
    for (size_t i = 0; i < text.size(); ++i) text[i] = char(i % 251 + size_t(rank));
    return text;
  };
  const std::vector<std::string> texts = ranks.all_gather(text_of(ranks.rank()));
  for (int r = 0; r < ranks.size(); ++r) check(texts[size_t(r)] == text_of(r), "a long text came out wrong");
  check(ranks.broadcast(ranks.is_first() ? text_of(1) : "") == text_of(1), "a long broadcast came out wrong");
}

inline void check_messages(Communicator& ranks) {
  const int rank = ranks.rank(), size = ranks.size();
  const std::vector<int> gathered = ranks.all_gather(10 * rank);
  for (int r = 0; r < size; ++r)
    check(gathered[size_t(r)] == 10 * r, "rank {} has gathered {}", rank, gathered[size_t(r)]);
  const std::vector<std::string> texts = ranks.all_gather(std::string(size_t(rank), 'x'));
  for (int r = 0; r < size; ++r) check(texts[size_t(r)] == std::string(size_t(r), 'x'), "a text came out wrong");
  check(ranks.broadcast(rank == 0 ? "the first rank's" : "") == "the first rank's", "broadcast");
  check_long_texts(ranks);
  ranks.barrier();
}

}  // namespace bough
