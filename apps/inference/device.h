#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/inference/machine_options.h"
#include "core/backend.h"
#include "core/communicator.h"

namespace bough {

/// How many GPUs the options ask for; 1 where one is chosen, or the CPU. Error where `all` finds none.
int count_asked_gpus(const MachineOptions& options);
/// The GPUs of a run of several that the options ask for, by number; empty where one process is enough. Throws Error in
/// one sentence: a GPU that is not there, none at all, built without CUDA or NCCL. The process that asks does not come
/// to use a GPU.
std::vector<int> choose_gpus(const MachineOptions& options);
/// The options for one of several ranks, which takes the `local_rank`th GPU of those asked for; at most `local_ranks`
/// are on one machine. Throws Error where they are more than GPUs.
MachineOptions machine_of_rank(const MachineOptions& options, int local_rank, int local_ranks);

/// Where and in which type a run computes: what the options ask for, as far as build and machine can.
struct DeviceChoice {
  bool is_gpu = false;
  int id = 0;       ///< of the GPU
  int threads = 1;  ///< of the CPU backend
  CpuLevel cpu_level = CpuLevel::generic;
  ComputeType type = ComputeType::float32;
  std::string name;                        ///< the GPU's
  size_t free_bytes = 0, total_bytes = 0;  ///< of the GPU's memory

  /// The type of weights and activations.
  DType dtype() const { return type == ComputeType::bfloat16 ? DType::bf16 : DType::f32; }
};

/// The CPU where cpu-threads is set, or nothing was asked for and no GPU is there; else the GPU. Says which in
/// the log. Throws Error in one sentence when the GPU asked for cannot be used, or the CPU lacks the precision.
DeviceChoice choose_device(const MachineOptions& options);

/// What training asks of a GPU's backend beside that.
struct TrainingNeeds {
  size_t arena_bytes = 0;  ///< the planned peak of activations: reserved at once
  int graph_limit = 16;    ///< records kept beside those kept always
  bool tune_gemm = false;  ///< time the ways to compute each product
};

std::unique_ptr<Backend> make_backend(const DeviceChoice& choice, const MachineOptions& options,
                                      const TrainingNeeds& needs = {});
/// The backend of the device that the options choose.
inline std::unique_ptr<Backend> make_backend(const MachineOptions& options) {
  return make_backend(choose_device(options), options);
}

/// The same of every device that they name: of programs that compute on several in one process.
std::vector<std::unique_ptr<Backend>> make_backends(const MachineOptions& options);

/// Moves tensors between the devices of ranks that compute on GPUs, one each; null where there is one rank, or `ranks`
/// does it itself. Throws Error when bough was built without NCCL.
std::unique_ptr<Communicator> connect_devices(const DeviceChoice& choice, Communicator& ranks, Backend& backend);

/// Whether choose_device would take the GPU, were there one: for plans that need no device.
bool plans_for_gpu(const MachineOptions& options);
/// The type that activations have there.
DType planned_type(const MachineOptions& options);

/// `workspace` in bytes; negative: the memory of the device that plans_for_gpu says, but that much. Error when that
/// leaves none.
size_t workspace_bytes(const MachineOptions& options);

/// Rows of a batch that fill a GPU's multiprocessors evenly are a multiple of this, 8448 on an H200; 1 elsewhere.
int64_t preferred_row_multiple(const MachineOptions& options);

/// Threads of the CPU backend: cpu-threads, else the cores this process may use.
int cpu_thread_count(const MachineOptions& options);

}  // namespace bough
