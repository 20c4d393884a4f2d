#pragma once
#include <array>
#include <memory>
#include <vector>

#include "core/backend.h"
#include "cuda/factory.h"
#include "cuda/gemm.h"
#include "cuda/graph.h"
#include "cuda/launch.h"
#include "cuda/memory.h"

namespace bough {

/// A CUDA device. Kernels are defined in cuda/*.cu as CudaBackend::name_impl and start their work on
/// stream(); nothing waits for the host but download and synchronize.
class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options);
  ~CudaBackend() override;
  std::string_view name() const override { return "cuda"; }
  DType compute_dtype() const override { return options_.compute_dtype; }
  void upload(Out destination, const void* source) override;
  void download(void* destination, In source) override;
  void synchronize() override;
  void use_on_this_thread() override;
  std::function<void(void*)> start_download(In source) override;
  bool records() const override { return true; }
  void mark(int number) override;
  void start_aside(int number, const std::function<void()>& work) override;
  void wait_aside() override;
  void repeat(const std::string& key, const std::function<void()>& work, Keep keep) override;
  std::string plans() const override { return gemms_->export_plans(); }
  bool set_plans(const std::string& text) override { return gemms_->import_plans(text); }

  /// Where kernels go. Waits (on the device) for a product that runs beside.
  const cuda::Stream& stream() {
    if (beside_is_busy_) join();
    return stream_;
  }
  /// Drops what repeat() has recorded: for those who go before the backend, and whom records know.
  void forget_records() { graphs_.clear(); }
  /// See cuda::Waits.
  void watch_waits(std::function<void()> check) { waits_->watch(std::move(check)); }
  /// Streaming multiprocessors of the device, for grids that fill it once.
  int multiprocessors() const { return multiprocessors_; }

  /// Memory for what one kernel call hands from launch to launch, e.g. partial sums of blocks: 256-byte
  /// aligned, undefined, valid until the next call of scratch in stream order.
  template <class T>
  T* scratch(int64_t elements) {
    return reinterpret_cast<T*>(scratch_bytes(size_t(elements) * sizeof(T)));
  }

 protected:
  Tensor allocate_outside(Shape shape, DType dtype) override;
  std::byte* arena_memory(size_t offset, size_t bytes) override;
#define KERNEL BOUGH_KERNEL_OVERRIDE
#include "core/kernels.def"
#undef KERNEL

 private:
  std::byte* scratch_bytes(size_t bytes);
  const cuda::Stream& fork();
  void join();

  CudaOptions options_;
  std::array<cuda::OwnedStream, 3> owned_streams_;  // of stream_, beside_ and aside_; the last to go
  cuda::Stream stream_;
  // A weight's gradient is computed beside the product that is asked for next, the input's gradient: each
  // alone may leave much of the device idle. Every other use of the device joins first, so that memory
  // which the weight's gradient reads is not handed out again before.
  cuda::Stream beside_;
  bool beside_is_busy_ = false;
  const void* beside_reads_ = nullptr;
  cuda::OwnedEvent forked_, joined_, finished_;
  // What start_aside() starts, such as exchanges with other devices, runs while stream_ goes on; marks_ are the places
  // in stream_'s work, or in its graphs, that it waits for.
  cuda::Stream aside_;
  cuda::OwnedEvent aside_done_;
  std::vector<cuda::OwnedEvent> marks_;
  int multiprocessors_ = 0;
  cuda::Arena arena_;
  std::shared_ptr<cuda::Waits> waits_ = std::make_shared<cuda::Waits>();
  std::unique_ptr<cuda::Staging> staging_;
  std::vector<std::shared_ptr<std::byte>> scratch_;  // the last is in use; graphs may know the others
  size_t scratch_size_ = 0;
  std::unique_ptr<cuda::Gemms> gemms_;
  cuda::GraphCache graphs_;
};

}  // namespace bough
