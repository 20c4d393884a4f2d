#pragma once
#include <cstddef>
#include <fstream>
#include <map>

#include "core/base/array_file.h"

namespace bough {

/// Marian's binary models (.bin, version 1, little-endian): f32, f16 and intgemm8 arrays.
///   u64 version, u64 n; n times {u64 length of name, type, rank, length of data}; names; shapes (i32);
///   u64 length of padding, padding; data
/// intgemm8 has k n bytes and a multiplier q, f32: an element is byte / q. A matrix that products read, (k, n), is kept
/// as (n, k); embeddings (.._Wemb) are not turned round.
class MarianBinary final : public ArrayFile {
 public:
  /// Reads the list of arrays. Error naming path: missing, not of this form, another version, truncated, lengths that
  /// contradict one another.
  explicit MarianBinary(const std::string& path);

  const std::string& path() const override { return path_; }
  const std::vector<std::string>& names() const override { return names_; }
  bool contains(const std::string& name) const override { return arrays_.count(name) == 1; }
  ArrayDescription describe(const std::string& name) const override;
  void read_floats(const std::string& name, std::vector<float>& values) const override;
  using ArrayFile::read_floats;
  float int8_multiplier(const std::string& name) const override;
  std::string read_text(const std::string& name) const override;

  /// Whether a file begins as these do.
  static bool is_at(const std::string& path);

 private:
  struct Array {
    std::uint64_t type = 0, offset = 0, bytes = 0;
    std::vector<std::int64_t> shape;
    std::uint64_t elements = 1;
  };
  const Array& find(const std::string& name) const;
  void read_list();
  std::vector<std::uint64_t> read_words(std::uint64_t count);
  void read_shape(const std::string& name, Array& array, std::uint64_t rank);
  std::vector<char> read_bytes(const std::string& name, std::uint64_t first, std::uint64_t bytes) const;

  std::string path_;
  mutable std::ifstream in_;
  std::uint64_t left_ = 0;  ///< bytes of the file that are not read yet, while the list is
  std::vector<std::string> names_;
  std::map<std::string, Array> arrays_;
};

}  // namespace bough
