#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/allocator.h"
#include "core/kernel_types.h"

namespace bough {

/// A device: memory, and one implementation of every line of core/kernels.def.
/// Public kernel calls go through enter(), the one hook for call counts and debugging;
/// backends override the `_impl` functions only. One thread at a time may use a backend.
class Backend {
 public:
  virtual ~Backend() = default;
  /// "cpu", "cuda", "null".
  virtual std::string_view name() const = 0;

  /// The type of activations and weights here.
  virtual DType compute_dtype() const = 0;
  /// The type of losses, statistics and master values: f32, or f64 where all is f64.
  DType statistics_dtype() const { return compute_dtype() == DType::f64 ? DType::f64 : DType::f32; }
  /// True where tensors have no memory and kernels do nothing (the null backend).
  virtual bool is_null() const { return false; }

  /// Memory from the activation arena; its content is undefined.
  Tensor allocate(Shape shape, DType dtype);
  /// The same in compute_dtype().
  Tensor allocate(Shape shape) { return allocate(shape, compute_dtype()); }
  /// Memory that lives as long as the Tensor and lies outside the arena: parameters, optimizer state.
  Tensor allocate_persistent(Shape shape, DType dtype) {
    persistent_bytes += size_t(shape.elements()) * size_of(dtype);
    return allocate_outside(shape, dtype);
  }

  /// Threads that compute on the host, which may all upload to tensors of their own; 1: one at a time.
  virtual int host_threads() const { return 1; }
  /// Copies the whole tensor from or to host memory of the same type.
  virtual void upload(Out destination, const void* source) = 0;
  virtual void download(void* destination, In source) = 0;
  /// The same into a vector of its size, from a tensor of any floating-point type.
  void download(std::vector<float>& destination, In source);
  void download(std::vector<double>& destination, In source);
  /// Waits until everything started so far is done.
  virtual void synchronize() {}
  /// Starts copying a small tensor (at most 4 KiB) to the host. Calling the result, once, waits for that copy but not
  /// for what was started after it, and puts the content to where its argument points.
  virtual std::function<void(void*)> start_download(In source);

  /// Which records stay: those used last, or this one whatever is used beside it.
  enum class Keep { if_recent, always };
  /// Does `work`, whose kernel calls, their arguments and memory must be the same whenever `key` is. A
  /// backend may record them: later calls then replay the record, and host code in `work` no longer runs. What
  /// changes between calls lies in tensors (UpdateState, the batch). Replays overwrite arena memory:
  /// no tensor of the arena may live across calls. Work that exchanges tensors must be a record on all ranks or on
  /// none, and so is kept always.
  virtual void repeat(const std::string& key, const std::function<void()>& work, Keep keep = Keep::if_recent) {
    (void)key, (void)keep;
    work();
  }
  /// Whether repeat() records: few keys, and shapes of few classes, are then worth some padding.
  virtual bool records() const { return false; }
  /// Marks this place in the order of what was started; repeat() records it.
  virtual void mark(int number) { (void)number; }
  /// Starts `work` as soon as the last mark(number) is passed, and behind earlier work that was started so: beside all
  /// else that comes behind the mark. What is started after wait_aside() comes behind it. Where nothing runs beside
  /// anything, the work is done at once.
  virtual void start_aside(int number, const std::function<void()>& work) {
    (void)number;
    work();
  }
  virtual void wait_aside() {}
  /// How matrix products are computed, as text for the training state: a resumed run that takes it over has
  /// the same bits. Empty where nothing is chosen at run time.
  virtual std::string plans() const { return {}; }
  /// Takes over what plans() gave; false when it was for another device or library and was left aside.
  virtual bool set_plans(const std::string& text) { return text.empty(); }

  /// Of several devices, this thread's work from now on is for this backend's. Each thread says so before it uses the
  /// backend, but for the one that made it last.
  virtual void use_on_this_thread() {}

  /// Another backend that reads the same tensors, with so many threads of its own; null where threads share this one.
  virtual std::unique_ptr<Backend> make_worker(int threads) const {
    (void)threads;
    return nullptr;
  }
  /// A promise that these weights W, (N, K), stay as they are while the result lives, and will be in many products
  /// x W^T here and on workers: a backend may keep them in a form of its own, and compute those products in 8 bits that
  /// have multipliers. Nobody may compute meanwhile, nor when the result goes. May be null.
  virtual std::shared_ptr<void> keep_weights(const std::vector<KeptWeight>& weights) {
    (void)weights;
    return nullptr;
  }

  /// Of the activation arena.
  const Allocator& allocator() const { return *allocator_; }
  Allocator& allocator() { return *allocator_; }

  /// Bytes given out by allocate_persistent so far.
  size_t persistent_bytes = 0;
  /// Floating-point operations of every gemm and attention call so far (a multiply-add is two).
  double flops = 0;
  std::map<std::string_view, int64_t> calls;  ///< kernel name -> number of calls

#define KERNEL(name, params)                  \
  template <class... Args>                    \
  void name(Args&&... args) {                 \
    enter(#name);                             \
    name##_impl(std::forward<Args>(args)...); \
  }
#include "core/kernels.def"
#undef KERNEL

 protected:
  /// The arena's memory at `offset`, `bytes` long; null on the null backend. Throws Error when the
  /// device has no more.
  virtual std::byte* arena_memory(size_t offset, size_t bytes) = 0;

  virtual Tensor allocate_outside(Shape shape, DType dtype) = 0;

  void enter(std::string_view kernel) { ++calls[kernel]; }

#define KERNEL(name, params) virtual void name##_impl params = 0;
#include "core/kernels.def"
#undef KERNEL

 private:
  std::shared_ptr<Allocator> allocator_ = std::make_shared<Allocator>();
};

/// The names in core/kernels.def, for completeness tests.
inline constexpr std::string_view kernel_names[] = {
#define KERNEL(name, params) #name,
#include "core/kernels.def"
#undef KERNEL
};

/// Includes the override declarations a backend class needs.
#define BOUGH_KERNEL_OVERRIDE(name, params) void name##_impl params override;

/// Shapes only: the same tape runs on it and leaves behind the peak of memory and the FLOPs.
/// `compute_dtype` is the type whose sizes are to be planned.
std::unique_ptr<Backend> make_null_backend(DType compute_dtype = DType::f32);

}  // namespace bough
