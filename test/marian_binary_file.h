#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

// Files in Marian's binary form, for tests of their reader.

namespace bough::test {

struct BinaryArray {
  std::string name;
  uint64_t type;
  std::vector<int64_t> shape;
  std::string data;

  static BinaryArray f32(std::string name, std::vector<int64_t> shape, const std::vector<float>& values) {
    std::string data(values.size() * sizeof(float), '\0');
    std::memcpy(data.data(), values.data(), data.size());
    return {std::move(name), 0x404, std::move(shape), std::move(data)};
  }
  /// bytes: as the file has them; `rest` more of them behind the multiplier.
  static BinaryArray intgemm8(std::string name, std::vector<int64_t> shape, const std::vector<int8_t>& bytes,
                              float multiplier, size_t rest) {
    std::string data(bytes.size() + sizeof multiplier, '\0');
    std::memcpy(data.data(), bytes.data(), bytes.size());
    std::memcpy(data.data() + bytes.size(), &multiplier, sizeof multiplier);
    return {std::move(name), 0x4101, std::move(shape), data + std::string(rest, 'x')};
  }
  static BinaryArray text(std::string name, const std::string& text) {
    return {std::move(name), 0x101, {int64_t(text.size()) + 1}, text + '\0'};
  }
};

inline std::string marian_binary(const std::vector<BinaryArray>& arrays) {
  std::string out;
  const auto word = [&](uint64_t value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); };
  word(1);
  word(arrays.size());
  for (const BinaryArray& a : arrays) {
    word(a.name.size() + 1);
    word(a.type);
    word(a.shape.size());
    word(a.data.size());
  }
  for (const BinaryArray& a : arrays) out += a.name + '\0';
  for (const BinaryArray& a : arrays)
    for (const int64_t axis : a.shape) {
      const auto value = int32_t(axis);
      out.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
  word(5);
  out.append(5, '\0');
  for (const BinaryArray& a : arrays) out += a.data;
  return out;
}

}  // namespace bough::test
