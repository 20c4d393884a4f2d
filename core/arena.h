#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace bough {

/// Elements of an arena from `first` on.
struct ArenaPiece {
  int64_t first;
  Tensor values;
};

/// What of elements [first, first + count) of the arena lies in its pieces.
std::vector<ArenaPiece> parts_within(const std::vector<ArenaPiece>& pieces, int64_t first, int64_t count);

/// All elements of an arena: in the backend's memory, or on the host.
struct WholeArena {
  Tensor tensor;
  std::vector<float> on_host;

  WholeArena() = default;
  WholeArena(Tensor whole) : tensor(std::move(whole)) {}               // NOLINT: arenas are given as they lie
  WholeArena(std::vector<float> whole) : on_host(std::move(whole)) {}  // NOLINT
};

}  // namespace bough
