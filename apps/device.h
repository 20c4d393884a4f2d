#pragma once
#include <memory>

#include "apps/options.h"
#include "core/backend.h"

namespace bough {

/// The backend that the options, the build and the machine give: the CPU where cpu-threads is set or no GPU
/// can be used, else the GPU. Says which in the log. Explicit `devices` without a GPU is an Error.
std::unique_ptr<Backend> make_backend(const MachineOptions& options);

/// `workspace` in bytes; negative: the machine's memory but that much. Error when that leaves none.
size_t workspace_bytes(const MachineOptions& options);

/// Threads of the CPU backend: cpu-threads, else the cores this process may use.
int cpu_thread_count(const MachineOptions& options);

}  // namespace bough
