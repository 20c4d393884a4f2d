#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bough {

/// An array of a file in Marian's binary form (core/base/marian_binary.h).
struct MarianArray {
  enum class Type : std::uint64_t { f32 = 0x404, intgemm8 = 0x4101, text = 0x101 };
  std::string name;
  Type type;
  std::vector<std::int64_t> shape;
  std::string data;  ///< as the file has it, without padding
};

/// Arrays of real numbers, row-major, in f32 and in 8 bits: whole multiples of 1 / multiplier. An embedding keeps its
/// order in 8 bits, other matrices are turned round.
MarianArray f32_array(std::string name, std::vector<std::int64_t> shape, const std::vector<float>& values);
MarianArray intgemm8_array(std::string name, std::vector<std::int64_t> shape, const std::vector<float>& values,
                           float multiplier);
MarianArray text_array(std::string name, std::string text);

/// Writes the file, atomically. Each array begins on a multiple of 256 bytes. Throws Error if it cannot be written.
void write_marian_binary(const std::string& path, const std::vector<MarianArray>& arrays);

}  // namespace bough
