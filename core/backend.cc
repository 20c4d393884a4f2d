#include "core/backend.h"

namespace bough {

Tensor Backend::allocate(Shape shape, DType dtype) {
  const size_t bytes = size_t(shape.elements()) * size_of(dtype);
  const size_t offset = allocator_->allocate(bytes);
  std::byte* const memory = arena_memory(offset, bytes);
  // The handle returns the range when the last Tensor goes; the allocator may outlive the backend.
  std::shared_ptr<void> block(static_cast<void*>(this), [offset, allocator = allocator_](void*) {
    allocator->release(offset);
  });
  return {std::move(block), memory, shape, dtype};
}

}  // namespace bough
