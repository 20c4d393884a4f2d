#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

// A multiprocessor on the host: the threads of a block are fibers that run one at a time and change
// only where CUDA lets them wait for one another. Faults that hardware passes over in silence throw Error.

struct dim3;

namespace bough::emulator {

/// What tests vary. A kernel's result must not depend on any of these orders.
struct Settings {
  bool reverse_threads = false;     ///< run the threads of a block last to first
  uint64_t block_seed = 1;          ///< the order of blocks is a permutation drawn from it; 0: in sequence
  bool eager = false;               ///< run work when it is queued, not at the next wait
  uint64_t stream_seed = 1;         ///< which stream goes on next, where several may
  int devices = 1;                  ///< what cudaGetDeviceCount finds; of programs, BOUGH_EMULATED_GPUS says it
  int driver_error = 0;             ///< cudaError_t that it returns
  int driver_version = 12020;       ///< what the driver of driver_error supports
  int capability = 9;               ///< major compute capability
  size_t memory = size_t{4} << 30;  ///< bytes of a device
  bool has_kernel_image = true;     ///< the program has code for the device
  bool has_all_epilogues = true;    ///< cuBLASLt: also relu behind a bias, and sums over the inner dimension
  double row_sums_us = 0;           ///< what those sums cost
  int nccl_patience_ms = 60000;     ///< NCCL: how long a message may fail to come
  int nccl_error = 0;               ///< ncclResult_t that a connection has met
  bool hangs = false;               ///< no work ends, until ncclCommAbort ends it
};
Settings& settings();

/// What the fake runtime was asked for since the program began.
struct Counters {
  int64_t kernels = 0;          ///< launches, also those recorded
  int64_t allocations = 0;      ///< of device and of pinned memory
  int64_t waits = 0;            ///< for events, streams, the device
  int64_t external_events = 0;  ///< records by launches of graphs, for streams outside
};
Counters& counters();
/// Operations on streams that wait for their turn.
size_t queued_operations();

/// A clock for cudaEventElapsedTime, in microseconds: every piece of work takes one, and what it adds here.
extern double clock_us;

/// Runs a kernel to its end; throws Error when it did something undefined.
void run_grid(const dim3& grid, const dim3& block, size_t shared_bytes, const std::function<void()>& body);

// For emulated_device.h, on the fiber of a thread.

/// Ends the running kernel: run_grid throws Error with this text and the thread's coordinates.
[[noreturn]] void fault(std::string what);
void block_barrier(const char* reason);
/// All lanes of the warp meet: each gives its `mine`; the last to come runs combine(all 32, in lane order),
/// then everyone goes on. `name` tells collectives apart.
void warp_collective(const char* name, void* mine, void (*combine)(void* const* lanes));
std::byte* dynamic_shared_memory();
/// Number of the running block over all launches: static shared memory is poisoned when it changes.
uint64_t block_number();
/// Whether `bytes` at p are shared memory of this block.
bool is_shared(const void* p, size_t bytes);
/// Adds static shared memory to what is_shared knows.
void add_shared(const void* p, size_t bytes);

void copy_async_begin(void* shared, const void* source, bool is_inside);
void copy_async_commit();
void copy_async_wait(int pending);

}  // namespace bough::emulator
