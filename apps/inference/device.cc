#include "apps/inference/device.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "core/base/log.h"
#include "core/cpu/factory.h"
#include "core/process_ranks.h"
#include "cuda/factory.h"

namespace bough {
namespace {

int gpu_number(const MachineOptions& options) { return options.devices.ids.empty() ? 0 : options.devices.ids.front(); }

/// Those that `devices` and `num-devices` name on a machine that has `count`.
std::vector<int> asked_gpus(const MachineOptions& options, int count) {
  std::vector<int> gpus = options.devices.ids;
  if (gpus.empty()) {
    gpus.resize(size_t(options.devices.all && options.num_devices == 0 ? count : std::max(options.num_devices, 1)));
    std::iota(gpus.begin(), gpus.end(), 0);
  } else if (options.num_devices > 0) {
    gpus.resize(size_t(options.num_devices));
  }
  return gpus;
}

DeviceChoice choose_gpu(const MachineOptions& options) {
  DeviceChoice choice{.is_gpu = true, .id = gpu_number(options)};
  choice.type = options.compute_type().value_or(ComputeType::bfloat16);
  const CudaDevice device = find_cuda_device(choice.id);
  choice.name = device.name;
  choice.free_bytes = device.free_bytes;
  choice.total_bytes = device.total_bytes;
  if (options.gemm_precision != GemmPrecision::float32)
    log::warn("[device] gemm-precision has no effect on a GPU: products are in {}", name_of(choice.type));
  constexpr double gib = 1 << 30;
  log::info("[device] GPU {}: {}, {:.1f} of {:.1f} GiB free, {}", choice.id, device.name,
            double(device.free_bytes) / gib, double(device.total_bytes) / gib, name_of(choice.type));
  return choice;
}

DeviceChoice choose_cpu(const MachineOptions& options) {
  DeviceChoice choice{.threads = cpu_thread_count(options)};
  choice.total_bytes = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
  const ComputeType type = options.compute_type().value_or(ComputeType::float32);
  check(type == ComputeType::float32,
        "precision: {} needs a GPU, and this run is on the CPU; use precision: float32, or leave it out",
        name_of(type));
  check(!options.debug_sync, "debug-sync is for GPUs, and this run is on the CPU; leave it out");
  choice.cpu_level = options.cpu_level.value_or(cpu_levels().back());
  log::info("[device] CPU, {} thread{}, {}, {}", choice.threads, choice.threads == 1 ? "" : "s",
            options.gemm_precision == GemmPrecision::float32 ? "float32" : "int8 and float32",
            name_of(choice.cpu_level));
#if defined(__x86_64__)
  if (cpu_levels().size() == 1)
    log::warn(
        "[device] this CPU lacks AVX2 and FMA (x86-64-v3): matrix products are some fifty times slower. Use a newer "
        "one");
#endif
  return choice;
}

}  // namespace

int count_asked_gpus(const MachineOptions& options) {
  if (options.cpu_threads > 0) return 1;
  return int(asked_gpus(options, options.devices.all ? require_cuda_devices() : 0).size());
}

std::vector<int> choose_gpus(const MachineOptions& options) {
  if (options.cpu_threads > 0 || !options.asks_for_several()) return {};
  const int count = std::stoi(ask_process([] { return std::to_string(require_cuda_devices()); }));
  const std::vector<int> gpus = asked_gpus(options, count);
  for (const int id : gpus)
    check(id < count, "devices: GPU {} was asked for, must be 0 to {}: this machine has {}", id, count - 1, count);
  if (gpus.size() == 1) return {};
  require_nccl(int(gpus.size()));
  return gpus;
}

MachineOptions machine_of_rank(const MachineOptions& options, int local_rank, int local_ranks) {
  if (!plans_for_gpu(options)) return options;
  const std::vector<int>& listed = options.devices.ids;
  check(listed.empty() || local_ranks <= int(listed.size()),
        "devices names {} GPU{} for {} processes of one machine; name one for each, or leave it out: each takes the "
        "GPU of "
        "its number",
        listed.size(), listed.size() == 1 ? "" : "s", local_ranks);
  MachineOptions machine = options;
  machine.devices = {.ids = {listed.empty() ? local_rank : listed[size_t(local_rank)]}};
  machine.num_devices = 0;
  return machine;
}

int cpu_thread_count(const MachineOptions& options) {
  if (options.cpu_threads > 0) return options.cpu_threads;
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0 ? std::max(CPU_COUNT(&cores), 1) : 1;
}

bool plans_for_gpu(const MachineOptions& options) {
  if (options.cpu_threads > 0) return false;
  const bool needs_gpu = options.compute_type().value_or(ComputeType::float32) != ComputeType::float32;
  return options.devices.given() || needs_gpu || cuda_device_count() > 0;
}

DType planned_type(const MachineOptions& options) {
  const ComputeType usual = plans_for_gpu(options) ? ComputeType::bfloat16 : ComputeType::float32;
  return options.compute_type().value_or(usual) == ComputeType::bfloat16 ? DType::bf16 : DType::f32;
}

size_t workspace_bytes(const MachineOptions& options) {
  if (options.workspace >= 0) return size_t(options.workspace) << 20;
  const int64_t memory = plans_for_gpu(options) ? int64_t(find_cuda_device(gpu_number(options)).total_bytes)
                                                : int64_t(sysconf(_SC_PHYS_PAGES)) * int64_t(sysconf(_SC_PAGESIZE));
  const int64_t left = memory + int64_t(options.workspace) * (int64_t{1} << 20);
  check(left > 0, "workspace: {} leaves nothing of the {} MiB of memory; take away less", options.workspace,
        memory >> 20);
  return size_t(left);
}

int64_t preferred_row_multiple(const MachineOptions& options) {
  constexpr int64_t rows_of_multiprocessor = 64;  // of a tile of a matrix product
  if (!plans_for_gpu(options) || cuda_device_count() == 0) return 1;
  return rows_of_multiprocessor * find_cuda_device(gpu_number(options)).multiprocessors;
}

DeviceChoice choose_device(const MachineOptions& options) {
  const bool use_gpu = options.devices.given() || (options.cpu_threads == 0 && cuda_device_count() > 0);
  return use_gpu ? choose_gpu(options) : choose_cpu(options);
}

std::unique_ptr<Backend> make_backend(const DeviceChoice& choice, const MachineOptions& options,
                                      const TrainingNeeds& needs) {
  if (!choice.is_gpu) {
    check(!needs.tune_gemm, "gemm-autotune is for GPUs, and this run is on the CPU; leave it out");
    return make_cpu_backend(choice.threads, DType::f32, choice.cpu_level);
  }
  return make_cuda_backend({.device = choice.id,
                            .compute_dtype = choice.dtype(),
                            .allow_tf32 = choice.type == ComputeType::tf32,
                            .arena_bytes = needs.arena_bytes,
                            .autotune = needs.tune_gemm,
                            .graph_limit = needs.graph_limit,
                            .debug_sync = options.debug_sync});
}

std::vector<std::unique_ptr<Backend>> make_backends(const MachineOptions& options) {
  std::vector<std::unique_ptr<Backend>> backends;
  if (options.cpu_threads > 0 || !options.asks_for_several()) {
    backends.push_back(make_backend(options));
    return backends;
  }
  MachineOptions one = options;
  one.num_devices = 0;
  for (const int id : asked_gpus(options, options.devices.all ? require_cuda_devices() : 0)) {
    one.devices = {.ids = {id}};
    backends.push_back(make_backend(one));
  }
  return backends;
}

std::unique_ptr<Communicator> connect_devices(const DeviceChoice& choice, Communicator& ranks, Backend& backend) {
  if (!choice.is_gpu || ranks.is_alone()) return nullptr;
  return connect_gpus(ranks, backend);
}

}  // namespace bough
