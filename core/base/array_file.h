#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bough {

/// What a file says of an array, without its data.
struct ArrayDescription {
  std::vector<std::int64_t> shape;  ///< {} is a scalar
  std::string type;                 ///< "f32", "f16", "i8", "intgemm8", ...: as messages print it
  bool is_real;                     ///< read_floats reads it: real numbers, of whatever precision
};

/// A file of named arrays, as models are kept in: npz (core/base/npz.h) or Marian's binary form
/// (core/base/marian_binary.h). One thread at a time.
class ArrayFile {
 public:
  virtual ~ArrayFile() = default;
  virtual const std::string& path() const = 0;
  virtual const std::vector<std::string>& names() const = 0;  ///< in file order
  virtual bool contains(const std::string& name) const = 0;
  /// Of an array that is there.
  virtual ArrayDescription describe(const std::string& name) const = 0;
  /// The whole array, row-major, as f32, in place of what `values` was. Error where the array is damaged, or is_real is
  /// false.
  virtual void read_floats(const std::string& name, std::vector<float>& values) const = 0;
  std::vector<float> read_floats(const std::string& name) const {
    std::vector<float> values;
    read_floats(name, values);
    return values;
  }
  /// What the bytes of an intgemm8 array are its real numbers times; 0 of any other.
  virtual float int8_multiplier(const std::string& name) const {
    (void)name;
    return 0;
  }
  /// An array of bytes as text, without the zero bytes that pad it (special:model.yml).
  virtual std::string read_text(const std::string& name) const = 0;
  /// The same file for another thread; null where there can be none.
  virtual std::unique_ptr<ArrayFile> open_again() const { return nullptr; }
};

/// Opens a file of either form, told by its first bytes. Error where it is neither, or cannot be read.
std::unique_ptr<ArrayFile> open_array_file(const std::string& path);

}  // namespace bough
