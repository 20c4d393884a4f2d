#pragma once
#include <cstdint>
#include <functional>
#include <memory>

namespace bough {

/// Keeps signals from the calling thread, for good: they go to the program's first thread.
void block_signals();

/// Worker threads of one backend. Waiting is a futex sleep after a short spin, never an endless spin:
/// beside a busy process spinning threads lose an order of magnitude.
class ThreadPool {
 public:
  /// `threads` >= 1, the calling thread included. Throws Error if the system does not give as many.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  /// The calling thread included.
  int threads() const { return threads_; }

  /// Runs body(part) for part = 0 .. parts-1, each once, in any order, on the workers and the caller;
  /// returns when all are done. The parts must not depend on the number of threads where bits matter.
  /// An exception of a body is thrown here. Not reentrant.
  void run(int64_t parts, const std::function<void(int64_t part)>& body);

  /// body(begin, end) over [0, n) in blocks of `grain` elements: the blocks are the same for any
  /// number of threads.
  void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

 private:
  struct Shared;
  int threads_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace bough
