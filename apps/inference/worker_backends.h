#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/backend.h"

namespace bough {

/// The backends that inference runs on side by side, all reading the parameters of one model.
/// On the CPU: `threads` backends of one thread each. They wait for nobody between products, which one backend
/// of many threads does some 30 times a decoding step, and give the same bits for any number of threads.
/// Elsewhere: the model's own backend.
class WorkerBackends {
 public:
  /// backend: the model's; must outlive the object.
  WorkerBackends(Backend& backend, int threads);
  size_t count() const { return workers_.size(); }

  /// body(worker) for every backend at once, each on a thread of its own; returns when all are done.
  /// The first exception is thrown here; the bodies of the others should end when has_failed(). `on_failure`, from any
  /// thread: ends what they may be waiting for.
  void run(const std::function<void(Backend&)>& body, const std::function<void()>& on_failure = {});
  /// Whether a body of the run in progress has thrown.
  bool has_failed() const;

 private:
  struct Failure;
  std::vector<std::unique_ptr<Backend>> owned_;
  std::vector<Backend*> workers_;
  std::shared_ptr<Failure> failure_;
};

}  // namespace bough
