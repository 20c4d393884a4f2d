#pragma once
#include "core/backend.h"
#include "core/base/thread_pool.h"
#include "core/cpu/factory.h"
#include "core/cpu/int8_panels.h"
#include "core/cpu/packed_weights.h"
#include "core/cpu/panels.h"

namespace bough {

/// The CPU backend, f32 or f64: it defines what every kernel means. Loops run over fixed blocks of
/// rows, so that results do not depend on scheduling.
class CpuBackend final : public Backend {
 public:
  /// threads: >= 1, the caller included. compute_dtype: f32 or f64.
  CpuBackend(int threads, DType compute_dtype, CpuLevel level);
  ~CpuBackend() override;
  std::string_view name() const override { return "cpu"; }
  DType compute_dtype() const override { return compute_dtype_; }
  int host_threads() const override { return pool_.threads(); }
  void upload(Out destination, const void* source) override;
  void download(void* destination, In source) override;
  std::unique_ptr<Backend> make_worker(int threads) const override;
  std::shared_ptr<void> keep_weights(const std::vector<KeptWeight>& weights) override;
  ThreadPool& pool() { return pool_; }

 protected:
  Tensor allocate_outside(Shape shape, DType dtype) override;
  std::byte* arena_memory(size_t offset, size_t bytes) override;
#define KERNEL BOUGH_KERNEL_OVERRIDE
#include "core/kernels.def"
#undef KERNEL

 private:
  /// Panels of W^T, and their memory. weight: W, (N, K).
  std::shared_ptr<const void> pack_panels(In weight, const float*& panels);

  ThreadPool pool_;
  DType compute_dtype_;
  CpuLevel level_;
  const PanelKernels* panel_kernels_;
  const Int8Kernels* int8_kernels_;
  std::shared_ptr<PackedWeights> packed_weights_ = std::make_shared<PackedWeights>();  // the workers', too
  std::byte* arena_ = nullptr;  // reserved address space; the system backs what is touched
  size_t arena_capacity_ = 0;
};

}  // namespace bough
