#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/base/array_file.h"

namespace bough {

/// Element types of npy that are read and written.
enum class NpzType { f16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, boolean };

/// "f32", "i8", ...: as messages print a type.
const char* name_of(NpzType type);

/// The NpzType of a C++ element type.
template <class T>
constexpr NpzType npz_type_of() {
  if constexpr (std::is_same_v<T, float>)
    return NpzType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return NpzType::f64;
  else if constexpr (std::is_same_v<T, bool>)
    return NpzType::boolean;
  else if constexpr (std::is_same_v<T, char>)
    return NpzType::i8;
  else {
    static_assert(std::is_integral_v<T>, "npz holds floats, integers and booleans");
    constexpr bool is_signed = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 1)
      return is_signed ? NpzType::i8 : NpzType::u8;
    else if constexpr (sizeof(T) == 2)
      return is_signed ? NpzType::i16 : NpzType::u16;
    else if constexpr (sizeof(T) == 4)
      return is_signed ? NpzType::i32 : NpzType::u32;
    else
      return is_signed ? NpzType::i64 : NpzType::u64;
  }
}

/// What an npy file says of its data.
struct NpzHeader {
  NpzType type = NpzType::f32;
  std::vector<std::int64_t> shape;  ///< row-major; {} is a scalar
  std::int64_t elements() const;
  std::size_t bytes() const;
};

/// An array to write; data stays the caller's and must outlive write_npz. Where it is null, `piece` gives the bytes
/// while the file is written, so that not all of them have to be in memory: piece(i) for i = 0, 1, ..., in order, each
/// valid until the next call, none of them empty, until there are bytes().
struct NpzArray {
  std::string name;
  std::vector<std::int64_t> shape;
  NpzType type = NpzType::f32;
  const void* data = nullptr;
  std::function<std::span<const std::byte>(std::size_t)> piece = nullptr;
  std::size_t bytes() const { return NpzHeader{type, shape}.bytes(); }
};

/// An array over the caller's elements; without a shape it is one-dimensional.
template <class T>
NpzArray npz_array(std::string name, std::span<const T> data, std::vector<std::int64_t> shape) {
  return {std::move(name), std::move(shape), npz_type_of<T>(), data.data(), nullptr};
}
template <class T>
NpzArray npz_array(std::string name, std::span<const T> data) {
  return {std::move(name), {std::int64_t(data.size())}, npz_type_of<T>(), data.data(), nullptr};
}

/// Writes NumPy's npz: a zip of npy files, stored (not deflated), little-endian, row-major, in the
/// order given, without a copy of all data. Any size (zip64 past 4 GiB). The same arrays give the
/// same bytes. Atomic: path holds its old content or the whole new one (core/base/files.h).
/// Throws Error: duplicate or empty name, no arrays, anything that keeps path from being written.
void write_npz(const std::string& path, std::span<const NpzArray> arrays);

/// Reads npz files of NumPy (stored or deflated, npy versions 1 to 3), Marian and write_npz.
/// Opening reads the list of arrays only; each read opens one array and verifies its checksum.
/// The file may be replaced meanwhile: this keeps reading the one it opened.
/// Throws Error naming path and array: missing or truncated file, not an npz, absent array, type
/// or shape this reader does not take, damaged data. One thread at a time per reader.
class NpzReader final : public ArrayFile {
 public:
  /// Opens the file and reads its list of arrays.
  explicit NpzReader(const std::string& path);
  ~NpzReader() override;
  NpzReader(NpzReader&&) noexcept;
  NpzReader& operator=(NpzReader&&) noexcept;

  const std::string& path() const override;
  const std::vector<std::string>& names() const override;  ///< in file order, without ".npy"
  bool contains(const std::string& name) const override;
  ArrayDescription describe(const std::string& name) const override;
  /// Type and shape, without the data.
  NpzHeader header(const std::string& name) const;

  /// Fills dst with the array's header(name).bytes() bytes.
  void read(const std::string& name, void* dst) const;

  /// An array that is read from its beginning to its end in pieces, so that not all of it has to be in memory. The
  /// checksum is compared by finish(), after the last element: what came before may be damaged.
  class Stream {
   public:
    Stream(const NpzReader& file, const std::string& name);
    ~Stream();
    const NpzHeader& header() const;
    void read(void* dst, std::size_t bytes);  ///< the next ones
    void finish();

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

  /// The whole array; its type must be T.
  template <class T>
  std::vector<T> read_vector(const std::string& name) const {
    expect_type(name, header(name), npz_type_of<T>());
    std::vector<T> values(std::size_t(header(name).elements()));
    read(name, values.data());
    return values;
  }
  /// The whole array; its type must be that one: nothing is converted.
  std::vector<float> read_f32(const std::string& name) const { return read_vector<float>(name); }
  std::vector<double> read_f64(const std::string& name) const { return read_vector<double>(name); }
  /// The whole array of f16, f32 or f64, as f32. Every f16 is one; f64 is rounded.
  void read_floats(const std::string& name, std::vector<float>& values) const override;
  using ArrayFile::read_floats;
  /// An i8 or u8 array as text, without the zero bytes that pad it (Marian's special:model.yml).
  std::string read_text(const std::string& name) const override;
  std::unique_ptr<ArrayFile> open_again() const override { return std::make_unique<NpzReader>(path()); }

 private:
  struct Archive;
  void expect_type(const std::string& name, const NpzHeader& header, NpzType type) const;
  std::unique_ptr<Archive> archive_;
};

}  // namespace bough
