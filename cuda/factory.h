#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "core/backend.h"
#include "core/communicator.h"

namespace bough {

/// Of one GPU: where it computes, in which types, and how much memory is taken beforehand.
struct CudaOptions {
  int device = 0;
  DType compute_dtype = DType::bf16;  ///< or f32
  bool allow_tf32 = false;            ///< f32 products on tensor cores, with 10-bit mantissas
  /// Bytes of the activation arena when they are known (the planned peak): one block, so that graphs can be
  /// captured. 0: grown in segments as needed, for tests and inference.
  size_t arena_bytes = 0;
  /// Time cuBLASLt's proposals for every product and take the fastest, rather than the first. Plans that
  /// set_plans brings are not timed again.
  bool autotune = false;
  size_t workspace_bytes = size_t{64} << 20;  ///< for products, twice: two may run side by side
  int graph_limit = 16;                       ///< graphs kept by repeat() beside those kept always
  bool debug_sync = false;                    ///< wait after every kernel, so that an error names the one that failed
};

/// What the driver says of a device.
struct CudaDevice {
  std::string name;
  int multiprocessors = 0;
  size_t free_bytes = 0, total_bytes = 0;  ///< of its memory, now
};
/// Throws Error in one sentence: no driver, no device, wrong id, too old, or built without CUDA.
CudaDevice find_cuda_device(int id);

/// A CUDA device. Throws what find_cuda_device throws, and Error for too little memory.
std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options);

/// A communicator of the ranks of `host`, each with a CUDA backend of its own, that moves their tensors from GPU to
/// GPU: in the order of the backend's work. Both must outlive it. Throws Error when built without NCCL, or what NCCL
/// says.
std::unique_ptr<Communicator> connect_gpus(Communicator& host, Backend& backend);

/// Throws Error when so many processes cannot connect their GPUs, as bough was built without NCCL.
void require_nccl(int processes);

/// The number of devices; 0 without CUDA, driver or device.
int cuda_device_count();
/// The same, at least 1: throws Error in one sentence that says why there is none.
int require_cuda_devices();

}  // namespace bough
