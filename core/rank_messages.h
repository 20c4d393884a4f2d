#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/process_ranks.h"

// What ranks that are processes and their parent say to each other, by two sockets for every rank.

namespace bough {

/// From a rank, before `bytes` bytes: a call that all ranks make, or why it ends. The parent's answer to a call is
/// what it returns, and nothing before.
struct RankWords {
  enum Kind : int32_t { gather, broadcast, failure } kind;
  int32_t code;   ///< of a failure: the exit code
  uint64_t size;  ///< of a rank's part of a call, the same on all
  uint64_t bytes;
};

/// The other socket has single bytes: from a rank one is a sign of life, from the parent a signal to pass on, or this.
constexpr unsigned char end_now = 0;

/// A file descriptor that is closed in the end.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  operator int() const { return number_; }
  void close();

 private:
  int number_ = -1;
};

/// One end of what a rank and its parent speak by.
struct RankSockets {
  Descriptor words, pulse;
};

/// The rank's end.
std::unique_ptr<Communicator> make_process_rank(int rank, RankSockets sockets, const ProcessRanks& options);

/// A rank as its parent knows it.
struct RankChild {
  int process;  ///< its number
  RankSockets sockets;
};

/// The parent: until all have ended. Returns the exit code.
int supervise(std::vector<RankChild> children, const ProcessRanks& options);

}  // namespace bough
