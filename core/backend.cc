#include "core/backend.h"

#include <cstring>
#include <vector>

namespace bough {

std::function<void(void*)> Backend::start_download(In source) {
  std::vector<std::byte> content(source.bytes());
  download(content.data(), source);
  return [content = std::move(content)](void* to) { std::memcpy(to, content.data(), content.size()); };
}

Tensor Backend::allocate(Shape shape, DType dtype) {
  const size_t bytes = size_t(shape.elements()) * size_of(dtype);
  const size_t offset = allocator_->allocate(bytes);
  std::byte* const memory = arena_memory(offset, bytes);
  // The handle returns the range when the last Tensor goes; the allocator may outlive the backend.
  std::shared_ptr<void> block(static_cast<void*>(this),
                              [offset, allocator = allocator_](void*) { allocator->release(offset); });
  return {std::move(block), memory, shape, dtype};
}

}  // namespace bough
