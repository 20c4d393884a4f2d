#include "core/base/marian_binary.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/base/npz.h"

namespace bough {
namespace {

constexpr std::uint64_t version = 1, most_arrays = 1 << 20, most_name_bytes = 1 << 12, most_axes = 8;
constexpr std::uint64_t f32 = 0x404, f16 = 0x202, i8 = 0x101, intgemm8 = 0x4101;

bool is_embedding(const std::string& name) { return name.ends_with("Wemb"); }

}  // namespace

bool MarianBinary::is_at(const std::string& path) {
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed)) return false;  // a pipe would keep us waiting
  std::ifstream in(path, std::ios::binary);
  std::uint64_t word = 0;
  // Every version is told apart from text and from zip by its zero bytes.
  return in.read(reinterpret_cast<char*>(&word), sizeof word) && word > 0 && word < 256;
}

MarianBinary::MarianBinary(const std::string& path) : path_(path), in_(path, std::ios::binary) {
  check(in_.is_open() && !std::filesystem::is_directory(path), "'{}' cannot be read. Check its name and permissions",
        path);
  in_.seekg(0, std::ios::end);
  left_ = std::uint64_t(in_.tellg());
  in_.seekg(0);
  read_list();
}

std::vector<std::uint64_t> MarianBinary::read_words(std::uint64_t count) {
  check(count <= left_ / sizeof(std::uint64_t), "'{}' is truncated, or no binary model of Marian. Get the file anew",
        path_);
  std::vector<std::uint64_t> words(count);
  in_.read(reinterpret_cast<char*>(words.data()), std::streamsize(count * sizeof(std::uint64_t)));
  check(bool(in_), "'{}' cannot be read to its end. Get the file anew", path_);
  left_ -= count * sizeof(std::uint64_t);
  return words;
}

void MarianBinary::read_shape(const std::string& name, Array& array, std::uint64_t rank) {
  std::vector<std::int32_t> axes(rank);
  const std::uint64_t bytes = rank * sizeof(std::int32_t);
  check(bytes <= left_, "'{}' is truncated in the shape of array {}. Get the file anew", path_, name);
  in_.read(reinterpret_cast<char*>(axes.data()), std::streamsize(bytes));
  left_ -= bytes;
  for (const std::int32_t axis : axes) {
    check(axis > 0 && array.elements <= (std::uint64_t{1} << 40) / std::uint64_t(axis),
          "'{}': array {} has an axis of {}, which is no size. Get the file anew", path_, name, axis);
    array.elements *= std::uint64_t(axis);
    array.shape.push_back(axis);
  }
}

void MarianBinary::read_list() {
  const std::vector<std::uint64_t> head = read_words(2);
  check(head[0] == version, "'{}' is a binary model of version {}, must be {}. Save it as .npz with Marian", path_,
        head[0], version);
  check(head[1] <= most_arrays, "'{}' has {} arrays, which is no model. Get the file anew", path_, head[1]);
  struct Head {
    std::uint64_t name_bytes, type, rank, bytes;
  };
  std::vector<Head> heads;
  const std::vector<std::uint64_t> words = read_words(4 * head[1]);
  for (std::size_t i = 0; i < words.size(); i += 4)
    heads.push_back({words[i], words[i + 1], words[i + 2], words[i + 3]});
  for (const Head& h : heads) {
    check(h.name_bytes > 0 && h.name_bytes <= std::min(most_name_bytes, left_) && h.rank <= most_axes,
          "'{}': the list of its arrays is damaged. Get the file anew", path_);
    std::string name(h.name_bytes, '\0');
    in_.read(name.data(), std::streamsize(name.size()));
    left_ -= h.name_bytes;
    name.resize(std::min(name.find('\0'), name.size()));
    check(arrays_.try_emplace(name, Array{h.type, 0, h.bytes, {}}).second,
          "'{}': array {} is there twice. Get the file anew", path_, name);
    names_.push_back(name);
  }
  for (std::size_t i = 0; i < heads.size(); ++i) read_shape(names_[i], arrays_[names_[i]], heads[i].rank);
  const std::uint64_t padding = read_words(1)[0];
  check(padding <= left_, "'{}' is truncated in its padding. Get the file anew", path_);
  std::uint64_t offset = std::uint64_t(in_.tellg()) + padding;
  left_ -= padding;
  for (const std::string& name : names_) {
    Array& array = arrays_[name];
    check(array.bytes <= left_, "'{}' is truncated: array {} is not all there. Get the file anew", path_, name);
    array.offset = offset;
    offset += array.bytes;
    left_ -= array.bytes;
  }
}

const MarianBinary::Array& MarianBinary::find(const std::string& name) const {
  const auto at = arrays_.find(name);
  check(at != arrays_.end(), "'{}' has no array {}. Give a file of the right kind", path_, name);
  return at->second;
}

ArrayDescription MarianBinary::describe(const std::string& name) const {
  const Array& array = find(name);
  switch (array.type) {
    case f32:
      return {array.shape, "f32", true};
    case f16:
      return {array.shape, "f16", true};
    case intgemm8:
      return {array.shape, "intgemm8", true};
    case i8:
      return {array.shape, "i8", false};
    default:
      return {array.shape, fmt::format("type {:#x}", array.type), false};
  }
}

std::vector<char> MarianBinary::read_bytes(const std::string& name, std::uint64_t first, std::uint64_t bytes) const {
  const Array& array = find(name);
  check(first + bytes <= array.bytes, "'{}': array {} has {} bytes, must have {} by its shape. Get the file anew",
        path_, name, array.bytes, first + bytes);
  std::vector<char> data(bytes);
  in_.clear();
  in_.seekg(std::streamoff(array.offset + first));
  check(bool(in_.read(data.data(), std::streamsize(bytes))), "'{}': array {} cannot be read. Get the file anew", path_,
        name);
  return data;
}

void MarianBinary::read_floats(const std::string& name, std::vector<float>& values) const {
  const Array& array = find(name);
  const ArrayDescription description = describe(name);
  check(description.is_real, "'{}': array {} holds {}, must hold real numbers", path_, name, description.type);
  const std::uint64_t width = array.type == f32 ? 4 : array.type == f16 ? 2 : 1;
  const float multiplier = int8_multiplier(name);
  const std::vector<char> data = read_bytes(name, 0, width * array.elements);
  values.resize(array.elements);
  if (array.type == f32) {
    std::memcpy(values.data(), data.data(), values.size() * sizeof(float));
  } else if (array.type == f16) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t half;
      std::memcpy(&half, data.data() + 2 * i, sizeof half);
      values[i] = from_half(half);
    }
  } else {
    const std::size_t columns = is_embedding(name) || array.shape.size() < 2 ? 1 : std::size_t(array.shape.back());
    const std::size_t rows = array.elements / columns;
    for (std::size_t k = 0; k < rows; ++k)
      for (std::size_t n = 0; n < columns; ++n)
        values[k * columns + n] = float(int8_t(data[n * rows + k])) / multiplier;
  }
}

float MarianBinary::int8_multiplier(const std::string& name) const {
  const Array& array = find(name);
  if (array.type != intgemm8) return 0;
  float multiplier;
  std::memcpy(&multiplier, read_bytes(name, array.elements, sizeof multiplier).data(), sizeof multiplier);
  check(multiplier > 0 && std::isfinite(multiplier),
        "'{}': the multiplier of array {} is {}, must be positive. Get the file anew", path_, name, multiplier);
  return multiplier;
}

std::string MarianBinary::read_text(const std::string& name) const {
  check(find(name).type == i8, "'{}': array {} is {}, must be i8 (text). Give a file of the right kind", path_, name,
        describe(name).type);
  constexpr std::uint64_t most_bytes = std::uint64_t{4} << 20;
  const std::uint64_t bytes = find(name).elements;
  check(bytes <= most_bytes, "'{}': array {} has {} MiB of text, must have {} at most. Get the file anew", path_, name,
        bytes >> 20, most_bytes >> 20);
  const std::vector<char> data = read_bytes(name, 0, bytes);
  std::string text(data.begin(), data.end());
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

std::unique_ptr<ArrayFile> open_array_file(const std::string& path) {
  if (MarianBinary::is_at(path)) return std::make_unique<MarianBinary>(path);
  return std::make_unique<NpzReader>(path);
}

}  // namespace bough
