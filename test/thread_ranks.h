#pragma once
#include <barrier>
#include <cstring>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "core/communicator.h"

// Threads as the ranks of a run: what ranks do, without MPI.

namespace bough {

/// What the threads share: where each of them reads and writes in the call in progress.
struct RankMeeting {
  explicit RankMeeting(int ranks) : barrier(ranks), sources(size_t(ranks)), sent(size_t(ranks)) {}
  std::barrier<> barrier;
  std::vector<const void*> sources;
  std::vector<const std::vector<Message>*> sent;
};

class ThreadRank : public Communicator {
 public:
  ThreadRank(RankMeeting& meeting, int rank, int size) : meeting_(meeting), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string engine() const override { return "threads"; }
  using Communicator::all_gather, Communicator::broadcast;

  void all_gather(const void* mine, size_t bytes, void* all) override {
    meet(meeting_.sources, mine, [&] {
      for (size_t r = 0; r < meeting_.sources.size(); ++r)
        std::memcpy(static_cast<char*>(all) + r * bytes, meeting_.sources[r], bytes);
    });
  }
  void broadcast(void* data, size_t bytes) override {
    meet<const void*>(meeting_.sources, data, [&] {
      if (rank_ > 0) std::memcpy(data, meeting_.sources[0], bytes);
    });
  }
  std::function<bool(bool)> start_all_to_all(const std::vector<Message>& received,
                                             const std::vector<Message>& sent) override {
    meet(meeting_.sent, &sent, [&] {
      auto taken = std::vector<size_t>(size_t(size_));  // of the messages of each rank
      for (const auto& [rank, into] : received) {
        const Message* const from = next_to_me(*meeting_.sent[size_t(rank)], taken[size_t(rank)]);
        check(from && from->tensor.bytes() == into.bytes(), "rank {} sends rank {} another size than that expects",
              rank, rank_);
        std::memcpy(into.data<char>(), from->tensor.data<char>(), into.bytes());
      }
    });
    return [](bool) { return true; };
  }
  [[noreturn]] void abort(int, const std::string&) override { std::terminate(); }

 private:
  /// The first message for this rank at or behind `at`, which then stands behind it.
  const Message* next_to_me(const std::vector<Message>& sent, size_t& at) const {
    while (at < sent.size())
      if (const Message& message = sent[at++]; message.rank == rank_) return &message;
    return nullptr;
  }

  template <class T, class Work>
  void meet(std::vector<T>& places, T mine, const Work& work) {
    places[size_t(rank_)] = mine;
    meeting_.barrier.arrive_and_wait();
    work();
    meeting_.barrier.arrive_and_wait();
  }

  RankMeeting& meeting_;
  int rank_, size_;
};

/// Runs work(communicator) as so many ranks. What one throws ends the test program's case once all have come to their
/// end: the others must not wait for it.
inline void run_ranks(int size, const std::function<void(Communicator&)>& work) {
  RankMeeting meeting(size);
  auto failures = std::vector<std::exception_ptr>(size_t(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      ThreadRank communicator(meeting, rank, size);
      try {
        work(communicator);
      } catch (...) {
        failures[size_t(rank)] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace bough
