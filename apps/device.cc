#include "apps/device.h"

#include <sched.h>

#include <algorithm>

#include "core/log.h"

namespace bough {

int cpu_thread_count(const MachineOptions& options) {
  if (options.cpu_threads > 0) return options.cpu_threads;
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? std::max(CPU_COUNT(&cores), 1) : 1;
}

std::unique_ptr<Backend> make_backend(const MachineOptions& options) {
  check(!options.devices.given() || options.cpu_threads > 0,
        "devices: a GPU was asked for, but this bough was built without CUDA; leave `devices` out to "
        "train on the CPU, or build on a machine with the CUDA toolkit");
  check(options.compute_type() == ComputeType::float32,
        "precision: bfloat16 needs a GPU, and this run is on the CPU; use precision: float32");
  const int threads = cpu_thread_count(options);
  log::info("[device] CPU, {} thread{}, float32", threads, threads == 1 ? "" : "s");
  return make_cpu_backend(threads);
}

}  // namespace bough
