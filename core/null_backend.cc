#include "core/backend.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"  // the kernels below use none of theirs

namespace bough {
namespace {

/// Kernels that do nothing: only shapes, allocations and the FLOP counts of core/ops.cc happen.
class NullBackend final : public Backend {
 public:
  explicit NullBackend(DType compute_dtype) : compute_dtype_(compute_dtype) {}
  std::string_view name() const override { return "null"; }
  DType compute_dtype() const override { return compute_dtype_; }
  bool is_null() const override { return true; }
  void upload(Out destination, const void* source) override {}
  void download(void* destination, In source) override {}

 protected:
  Tensor allocate_outside(Shape shape, DType dtype) override {
    return {std::shared_ptr<void>(static_cast<void*>(this), [](void*) {}), nullptr, shape, dtype};
  }
  std::byte* arena_memory(size_t offset, size_t bytes) override { return nullptr; }
#define KERNEL(name, params) \
  void name##_impl params override {}
#include "core/kernels.def"
#undef KERNEL

 private:
  DType compute_dtype_;
};

}  // namespace

std::unique_ptr<Backend> make_null_backend(DType compute_dtype) { return std::make_unique<NullBackend>(compute_dtype); }

}  // namespace bough
