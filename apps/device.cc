#include "apps/device.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "core/log.h"

namespace bough {

int cpu_thread_count(const MachineOptions& options) {
  if (options.cpu_threads > 0) return options.cpu_threads;
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? std::max(CPU_COUNT(&cores), 1) : 1;
}

size_t workspace_bytes(const MachineOptions& options) {
  if (options.workspace >= 0) return size_t(options.workspace) << 20;
  const int64_t memory = int64_t(sysconf(_SC_PHYS_PAGES)) * int64_t(sysconf(_SC_PAGESIZE));
  const int64_t left = memory + int64_t(options.workspace) * (int64_t{1} << 20);
  check(left > 0, "workspace: {} leaves nothing of the {} MiB of memory; take away less", options.workspace,
        memory >> 20);
  return size_t(left);
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
