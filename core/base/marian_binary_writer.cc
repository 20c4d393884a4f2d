#include "core/base/marian_binary_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/base/files.h"

namespace bough {
namespace {

constexpr std::uint64_t version = 1, alignment = 256;

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

/// Text is the last array, and is not padded.
std::uint64_t length_of(const MarianArray& array) {
  return array.type == MarianArray::Type::text ? array.data.size() : aligned(array.data.size());
}

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

MarianArray f32_array(std::string name, std::vector<std::int64_t> shape, const std::vector<float>& values) {
  std::string data(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return {std::move(name), MarianArray::Type::f32, std::move(shape), std::move(data)};
}

MarianArray intgemm8_array(std::string name, std::vector<std::int64_t> shape, const std::vector<float>& values,
                           float multiplier) {
  const std::size_t columns = name.ends_with("Wemb") ? 1 : std::size_t(shape.back()), rows = values.size() / columns;
  std::string data(values.size(), '\0');
  for (std::size_t k = 0; k < rows; ++k)
    for (std::size_t n = 0; n < columns; ++n) {
      const float byte = std::nearbyint(values[k * columns + n] * multiplier);
      data[n * rows + k] = char(std::int8_t(std::clamp(byte, -127.0f, 127.0f)));
    }
  append(data, multiplier);
  return {std::move(name), MarianArray::Type::intgemm8, std::move(shape), std::move(data)};
}

MarianArray text_array(std::string name, std::string text) {
  const auto length = std::int64_t(text.size());
  return {std::move(name), MarianArray::Type::text, {length}, std::move(text)};
}

void write_marian_binary(const std::string& path, const std::vector<MarianArray>& arrays) {
  std::string head;
  append(head, version);
  append(head, std::uint64_t(arrays.size()));
  for (const MarianArray& array : arrays) {
    append(head, std::uint64_t(array.name.size() + 1));
    append(head, std::uint64_t(array.type));
    append(head, std::uint64_t(array.shape.size()));
    append(head, length_of(array));
  }
  for (const MarianArray& array : arrays) head += array.name + '\0';
  for (const MarianArray& array : arrays)
    for (const std::int64_t axis : array.shape) append(head, std::int32_t(axis));
  const std::uint64_t begin = head.size() + sizeof(std::uint64_t), padding = aligned(begin) - begin;
  append(head, padding);
  head.append(padding, '\0');

  AtomicFile file(path);
  file.write(head);
  for (const MarianArray& array : arrays) {
    file.write(array.data);
    file.write(std::string(length_of(array) - array.data.size(), '\0'));
  }
  file.commit();
}

}  // namespace bough
