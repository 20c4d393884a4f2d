#include "core/base/npy_header.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "core/base/error.h"

namespace bough {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t longest_header = std::size_t{1} << 20;

struct TypeRow {
  NpzType type;
  const char* name;
  const char* descr;  ///< NumPy's letter and size, without the byte order
  std::size_t bytes;
};
constexpr TypeRow types[] = {
    {NpzType::f16, "f16", "f2", 2}, {NpzType::f32, "f32", "f4", 4}, {NpzType::f64, "f64", "f8", 8},
    {NpzType::i8, "i8", "i1", 1},   {NpzType::i16, "i16", "i2", 2}, {NpzType::i32, "i32", "i4", 4},
    {NpzType::i64, "i64", "i8", 8}, {NpzType::u8, "u8", "u1", 1},   {NpzType::u16, "u16", "u2", 2},
    {NpzType::u32, "u32", "u4", 4}, {NpzType::u64, "u64", "u8", 8}, {NpzType::boolean, "bool", "b1", 1},
};

const TypeRow& row_of(NpzType type) {
  return *std::find_if(std::begin(types), std::end(types), [&](const TypeRow& row) { return row.type == type; });
}

/// Reads the dictionary left to right; every failure is one sentence that names the array.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& who) : rest_(text), who_(who) {}

  NpzHeader parse() {
    NpzHeader header;
    bool has_type = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr") {
        header.type = type();
        has_type = true;
      } else if (key == "fortran_order") {
        check(!boolean(),
              "{} is stored column by column (Fortran order), must be row by row. Save "
              "numpy.ascontiguousarray(...) of it instead.",
              who_);
        has_order = true;
      } else if (key == "shape") {
        header.shape = shape();
        has_shape = true;
      } else {
        fail_format();
      }
      if (!accept(',') && peek() != '}') fail_format();
    }
    if (!has_type || !has_order || !has_shape) fail_format();
    return header;
  }

 private:
  [[noreturn]] void fail_format() const {
    fail("{} has no valid npy header. Restore the file from a copy or write it again.", who_);
  }
  char peek() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\t')) rest_.remove_prefix(1);
    if (rest_.empty()) fail_format();
    return rest_[0];
  }
  bool accept(char c) {
    if (peek() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail_format();
  }
  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail_format();
    const auto end = rest_.find(quote, 1);
    if (end == std::string_view::npos) fail_format();
    std::string value(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return value;
  }
  bool boolean() {
    peek();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    fail_format();
  }
  NpzType type() {
    check(peek() == '\'' || peek() == '"',
          "{} has a compound element type, must be a plain number type. Save its fields as "
          "separate arrays.",
          who_);
    const std::string descr = string();
    const bool big_endian = !descr.empty() && descr[0] == '>';
    const bool has_order = !descr.empty() && std::strchr("<>=|", descr[0]) != nullptr;
    const std::string letter = has_order ? descr.substr(1) : descr;
    for (const auto& row : types) {
      if (letter != row.descr) continue;
      check(!big_endian || row.bytes == 1,
            "{} is big-endian ('{}'), must be little-endian. Save "
            "array.astype('<{}') instead.",
            who_, descr, letter);
      return row.type;
    }
    fail(
        "{} has element type '{}', must be a float, integer or boolean of at most 64 bits. "
        "Convert it with array.astype('<f4').",
        who_, descr);
  }
  std::vector<std::int64_t> shape() {
    std::vector<std::int64_t> sizes;
    std::int64_t product = 1;
    expect('(');
    while (!accept(')')) {
      peek();
      std::int64_t size = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (error != std::errc{} || size < 0) fail_format();
      rest_.remove_prefix(std::size_t(end - rest_.data()));
      accept('L');  // Python 2 wrote long integers so
      // 2^59 elements of 8 bytes are 2^62 bytes: sizes stay far from overflow.
      check(size == 0 || product <= (std::int64_t{1} << 59) / size,
            "{} has an impossible shape. Restore the file from a copy or write it again.", who_);
      product *= std::max<std::int64_t>(size, 1);
      sizes.push_back(size);
      if (!accept(',') && peek() != ')') fail_format();
    }
    return sizes;
  }

  std::string_view rest_;
  const std::string& who_;
};

std::string python_tuple(const std::vector<std::int64_t>& shape) {
  return shape.size() == 1 ? fmt::format("({},)", shape[0]) : fmt::format("({})", fmt::join(shape, ", "));
}

}  // namespace

const char* name_of(NpzType type) { return row_of(type).name; }

std::int64_t NpzHeader::elements() const {
  std::int64_t product = 1;
  for (const auto size : shape) product *= size;
  return product;
}

std::size_t NpzHeader::bytes() const { return std::size_t(elements()) * row_of(type).bytes; }

NpyStart parse_npy_start(const unsigned char* bytes, const std::string& who) {
  check(std::memcmp(bytes, magic.data(), magic.size()) == 0,
        "{} is not in NumPy's npy format. Give a model or array file written as npz.", who);
  const unsigned version = bytes[6];
  check(version >= 1 && version <= 3,
        "{} has npy version {}, must be 1, 2 or 3. Save it with a "
        "NumPy that writes one of these.",
        who, version);
  NpyStart start;
  start.header_offset = version == 1 ? 10 : 12;
  start.header_bytes = std::size_t{bytes[8]} | std::size_t{bytes[9]} << 8;
  if (version > 1) start.header_bytes |= std::size_t{bytes[10]} << 16 | std::size_t{bytes[11]} << 24;
  check(start.header_bytes <= longest_header,
        "{} has an npy header of {} bytes, must be at most "
        "{}. Restore the file from a copy or write it again.",
        who, start.header_bytes, longest_header);
  return start;
}

NpzHeader parse_npy_header(std::string_view text, const std::string& who) { return HeaderParser(text, who).parse(); }

std::string write_npy_header(const NpzHeader& header) {
  const TypeRow& row = row_of(header.type);
  const std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': {}, }}",
                                       row.bytes == 1 ? '|' : '<', row.descr, python_tuple(header.shape));
  constexpr std::size_t offset = 10;
  const std::size_t total = (offset + text.size() + 1 + 63) / 64 * 64;
  const std::size_t length = total - offset;
  check(length < 65536, "npz: an array with {} axes cannot be written.", header.shape.size());
  std::string out(magic);
  out += {'\1', '\0', char(length & 255), char(length >> 8)};
  out += text;
  out.resize(total - 1, ' ');
  return out + '\n';
}

}  // namespace bough
