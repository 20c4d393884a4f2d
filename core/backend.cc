#include "core/backend.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace bough {

std::function<void(void*)> Backend::start_download(In source) {
  std::vector<std::byte> content(source.bytes());
  download(content.data(), source);
  return [content = std::move(content)](void* to) { std::memcpy(to, content.data(), content.size()); };
}

namespace {

template <class To, class From>
void download_as(Backend& backend, std::vector<To>& destination, In source) {
  std::vector<From> values(destination.size());
  backend.download(values.data(), source);
  std::transform(values.begin(), values.end(), destination.begin(), [](From value) { return To(value); });
}

}  // namespace

void Backend::download(std::vector<float>& destination, In source) {
  destination.resize(size_t(source.size()));
  if (source.dtype() == DType::f64) return download_as<float, double>(*this, destination, source);
  Tensor values = source;
  if (source.dtype() != DType::f32) {
    values = allocate(source.shape(), DType::f32);
    cast(values, source);
  }
  download(static_cast<void*>(destination.data()), values);
}

void Backend::download(std::vector<double>& destination, In source) {
  destination.resize(size_t(source.size()));
  if (source.dtype() == DType::f64) return download(static_cast<void*>(destination.data()), source);
  std::vector<float> values;
  download(values, source);
  std::copy(values.begin(), values.end(), destination.begin());
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
