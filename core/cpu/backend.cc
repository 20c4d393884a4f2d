#include "core/cpu/backend.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/cpu/levels.h"

namespace bough {
namespace {

constexpr size_t huge_page = size_t(2) << 20;

size_t physical_memory() { return size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)); }

/// As much as the machine has memory; under a limit (ulimit -v) a quarter of what is left, which others need, too.
std::pair<void*, size_t> reserve_address_space() {
  const auto reserve = [](size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  };
  constexpr size_t least = huge_page;
  size_t capacity = physical_memory();
  void* memory = reserve(capacity);
  if (memory != MAP_FAILED) return {memory, capacity};
  while (memory == MAP_FAILED && capacity / 2 >= least) memory = reserve(capacity /= 2);
  if (memory != MAP_FAILED) {
    munmap(memory, capacity);
    capacity = std::max(least, capacity / 4 / huge_page * huge_page);
    memory = reserve(capacity);
  }
  check(memory != MAP_FAILED,
        "memory: the system refuses to reserve {} MiB of address space. Raise its limit (ulimit -v)", capacity >> 20);
  return {memory, capacity};
}

}  // namespace

CpuBackend::CpuBackend(int threads, DType compute_dtype, CpuLevel level)
    : pool_(threads),
      compute_dtype_(compute_dtype),
      level_(level),
      panel_kernels_(&bough::panel_kernels(level)),
      int8_kernels_(&bough::int8_kernels(level)) {
  check(compute_dtype == DType::f32 || compute_dtype == DType::f64,
        "cpu: computes in float32 (float64 in tests), not in {}", name_of(compute_dtype));
}

CpuBackend::~CpuBackend() {
  if (arena_) munmap(arena_, arena_capacity_);
}

std::byte* CpuBackend::arena_memory(size_t offset, size_t bytes) {
  if (!arena_) {
    const auto [memory, capacity] = reserve_address_space();
    madvise(memory, capacity,
            MADV_HUGEPAGE);  // fewer TLB misses in GEMM; a refusal costs only speed
    arena_ = static_cast<std::byte*>(memory);
    arena_capacity_ = capacity;
  }
  check(
      offset + bytes <= arena_capacity_,
      "memory: activations need {} MiB, {} MiB are to be had. Make the batches smaller, or raise a limit (ulimit -v).",
      (offset + bytes) >> 20, arena_capacity_ >> 20);
  return arena_ + offset;
}

Tensor CpuBackend::allocate_outside(Shape shape, DType dtype) {
  const size_t bytes = size_t(shape.elements()) * size_of(dtype);
  // The system would promise more, and end us when it is used.
  check(bytes <= physical_memory(), "memory: {} MiB are asked for, this machine has {} MiB. Make the model smaller.",
        bytes >> 20, physical_memory() >> 20);
  const size_t alignment = bytes >= 2 * huge_page ? huge_page : Allocator::alignment;
  const size_t rounded = std::max<size_t>(1, (bytes + alignment - 1) / alignment) * alignment;
  void* const memory = std::aligned_alloc(alignment, rounded);
  check(memory != nullptr, "memory: no {} MiB left for a tensor of {}", bytes >> 20, shape);
  if (alignment == huge_page) madvise(memory, rounded, MADV_HUGEPAGE);
  return {std::shared_ptr<void>(memory, &std::free), static_cast<std::byte*>(memory), shape, dtype};
}

void CpuBackend::upload(Out destination, const void* source) {
  if (destination.bytes()) std::memcpy(destination.data<std::byte>(), source, destination.bytes());
}

void CpuBackend::download(void* destination, In source) {
  if (source.bytes()) std::memcpy(destination, source.data<std::byte>(), source.bytes());
}

std::unique_ptr<Backend> CpuBackend::make_worker(int threads) const {
  auto worker = std::make_unique<CpuBackend>(threads, compute_dtype_, level_);
  worker->packed_weights_ = packed_weights_;
  return worker;
}

std::unique_ptr<Backend> BOUGH_LEVEL::make_backend_of_level(int threads, DType compute_dtype, CpuLevel level) {
  return std::make_unique<CpuBackend>(threads, compute_dtype, level);
}

}  // namespace bough
