#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/backend.h"

namespace bough {

/// A backend that works, and the number of the device whose copy of the models it reads.
struct Worker {
  Backend* backend = nullptr;
  size_t device = 0;
};

/// The backends that inference runs on side by side.
/// On the CPU: `threads` backends of one thread each, all reading the parameters of one model. They wait for nobody
/// between products, which one backend of many threads does some 30 times a decoding step, and give the same bits for
/// any number of threads. One more has a few threads: for who has nobody beside it. Elsewhere: every device's own
/// backend.
class WorkerBackends {
 public:
  /// devices: the backends of the models; must outlive the object.
  WorkerBackends(const std::vector<Backend*>& devices, int threads);
  WorkerBackends(Backend& backend, int threads) : WorkerBackends(std::vector<Backend*>{&backend}, threads) {}
  size_t count() const { return workers_.size(); }
  /// Workers that share the memory of a device.
  size_t on_a_device() const { return workers_.size() / devices_; }
  /// The backend of a few threads that reads the same parameters: for one worker at a time.
  const Worker& with_threads(const Worker& worker) const {
    return threaded_.empty() ? worker : threaded_[worker.device];
  }

  /// body(worker) for every backend at once, each on a thread of its own; returns when all are done.
  /// The first exception is thrown here; the bodies of the others should end when has_failed(). `on_failure`, from any
  /// thread: ends what they may be waiting for.
  void run(const std::function<void(const Worker&)>& body, const std::function<void()>& on_failure = {});
  /// Whether a body of the run in progress has thrown.
  bool has_failed() const;

 private:
  struct Failure;
  std::vector<std::unique_ptr<Backend>> owned_;
  size_t devices_;
  std::vector<Worker> workers_;
  std::vector<Worker> threaded_;  // one a device, or none
  std::shared_ptr<Failure> failure_;
};

}  // namespace bough
