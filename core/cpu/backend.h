#pragma once
#include "core/backend.h"
#include "core/base/thread_pool.h"

namespace bough {

/// The CPU backend, f32 or f64: it defines what every kernel means. Loops run over fixed blocks of
/// rows, so that results do not depend on scheduling; GEMM splits its output by the thread count.
class CpuBackend final : public Backend {
 public:
  /// threads: >= 1, the caller included. compute_dtype: f32 or f64.
  CpuBackend(int threads, DType compute_dtype);
  ~CpuBackend() override;
  std::string_view name() const override { return "cpu"; }
  DType compute_dtype() const override { return compute_dtype_; }
  void upload(Out destination, const void* source) override;
  void download(void* destination, In source) override;
  ThreadPool& pool() { return pool_; }

 protected:
  Tensor allocate_outside(Shape shape, DType dtype) override;
  std::byte* arena_memory(size_t offset, size_t bytes) override;
#define KERNEL BOUGH_KERNEL_OVERRIDE
#include "core/kernels.def"
#undef KERNEL

 private:
  ThreadPool pool_;
  DType compute_dtype_;
  std::byte* arena_ = nullptr;  // reserved address space; the system backs what is touched
  size_t arena_capacity_ = 0;
};

}  // namespace bough
