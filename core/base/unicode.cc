#include "core/base/unicode.h"

#include <unicode/uchar.h>
#include <unicode/ucnv.h>

#include <array>
#include <memory>

#include "core/base/error.h"

namespace bough::unicode {
namespace {

/// Length of the valid UTF-8 sequence at the start of `text`, with its code point; 0 if none is.
size_t decode_one(std::string_view text, char32_t& c) {
  const auto byte = [&](size_t i) { return uint8_t(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    c = lead;
    return 1;
  }
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  c = lead & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    c = (c << 6) | (byte(i) & 0x3F);
  }
  const bool overlong = (length == 3 && c < 0x800) || (length == 4 && c < 0x10000);
  const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
  return overlong || surrogate || c > 0x10FFFF ? 0 : length;
}

/// True if `c` was assigned in Unicode `major`.0, whatever the version of the installed ICU.
bool known_in(char32_t c, int major) {
  UVersionInfo age;
  u_charAge(UChar32(c), age);
  return age[0] != 0 && (age[0] < major || (age[0] == major && age[1] == 0));
}

enum Class : unsigned char { other, punctuation, symbol, number };

Class look_up_class(char32_t c) {
  const auto mask = U_GET_GC_MASK(UChar32(c));
  const Class found = (mask & U_GC_P_MASK) != 0   ? punctuation
                      : (mask & U_GC_S_MASK) != 0 ? symbol
                      : (mask & U_GC_N_MASK) != 0 ? number
                                                  : other;
  return found != other && !known_in(c, 15) ? other : found;
}

Class class_of(char32_t c) {
  constexpr size_t plane = 0x10000;
  static const auto table = [] {
    auto classes = std::make_unique<std::array<Class, plane>>();
    for (size_t i = 0; i < plane; ++i) (*classes)[i] = look_up_class(char32_t(i));
    return classes;
  }();
  return c < plane ? (*table)[c] : look_up_class(c);
}

bool has(char32_t c, UProperty property) { return u_hasBinaryProperty(UChar32(c), property) != 0 && known_in(c, 14); }

/// Unicode's Final_Sigma: a cased letter before, none after, case-ignorable characters aside.
bool is_final_sigma(std::u32string_view text, size_t at) {
  size_t before = at;
  while (before > 0 && has(text[before - 1], UCHAR_CASE_IGNORABLE)) --before;
  if (before == 0 || !has(text[before - 1], UCHAR_CASED)) return false;
  size_t after = at + 1;
  while (after < text.size() && has(text[after], UCHAR_CASE_IGNORABLE)) ++after;
  return after == text.size() || !has(text[after], UCHAR_CASED);
}

constexpr char32_t capital_i_with_dot = 0x130, combining_dot = 0x307;
constexpr char32_t capital_sigma = 0x3A3, small_sigma = 0x3C3, final_sigma = 0x3C2;

/// The general case of lower: text with a sigma or a dotted capital I.
void lower_in_context(std::u32string& text) {
  std::u32string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == capital_sigma) {
      result += is_final_sigma(text, i) ? final_sigma : small_sigma;
    } else if (text[i] == capital_i_with_dot) {
      result += U'i';
      result += combining_dot;
    } else {
      result += char32_t(u_tolower(UChar32(text[i])));
    }
  }
  text = std::move(result);
}

}  // namespace

std::optional<size_t> find_invalid_utf8(std::string_view text) {
  char32_t c = 0;
  for (size_t i = 0; i < text.size();) {
    if (uint8_t(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const size_t length = decode_one(text.substr(i), c);
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

void decode_utf8(std::string_view text, std::u32string& out) {
  constexpr char32_t replacement = 0xFFFD;
  out.resize(text.size());
  size_t size = 0;
  for (size_t i = 0; i < text.size();) {
    char32_t c = replacement;
    const size_t length = decode_one(text.substr(i), c);
    out[size++] = length == 0 ? replacement : c;
    i += length == 0 ? 1 : length;
  }
  out.resize(size);
}

std::u32string decode_utf8(std::string_view text) {
  std::u32string out;
  decode_utf8(text, out);
  return out;
}

std::string encode_utf8(std::u32string_view text) {
  std::string out;
  const auto add = [&out](char32_t bits) { out += char(bits); };
  for (const char32_t c : text) {
    if (c < 0x80) {
      add(c);
    } else if (c < 0x800) {
      add(0xC0 | (c >> 6));
      add(0x80 | (c & 0x3F));
    } else {
      if (c < 0x10000) {
        add(0xE0 | (c >> 12));
      } else {
        add(0xF0 | (c >> 18));
        add(0x80 | ((c >> 12) & 0x3F));
      }
      add(0x80 | ((c >> 6) & 0x3F));
      add(0x80 | (c & 0x3F));
    }
  }
  return out;
}

std::optional<std::string> to_utf8(std::string_view bytes, const std::string& encoding) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UConverter, decltype(&ucnv_close)> from(ucnv_open(encoding.c_str(), &status), &ucnv_close);
  check(U_SUCCESS(status), "encoding '{}': unknown, must be a name like utf-8 or latin-1", encoding);
  check(ucnv_getMinCharSize(from.get()) == 1, "encoding '{}': lines cannot be found in it; convert the files to UTF-8",
        encoding);
  ucnv_setToUCallBack(from.get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &status);
  const char* next = bytes.data();
  const char* const end = next + bytes.size();
  std::u32string text;
  while (next < end) {
    const UChar32 c = ucnv_getNextUChar(from.get(), &next, end, &status);
    if (U_FAILURE(status)) return std::nullopt;
    text += char32_t(c);
  }
  return encode_utf8(text);
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == 0x20 || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_punctuation(char32_t c) { return class_of(c) == punctuation; }
bool is_symbol(char32_t c) { return class_of(c) == symbol; }
bool is_number(char32_t c) { return class_of(c) == number; }

void lower(std::u32string& text) {
  for (char32_t& c : text) {
    if (c < 0x80) {
      if (c >= U'A' && c <= U'Z') c |= 0x20;
    } else if (c == capital_sigma || c == capital_i_with_dot) {
      // What is lower-cased already stays so; whether a neighbour is cased does not change.
      return lower_in_context(text);
    } else {
      c = char32_t(u_tolower(UChar32(c)));
    }
  }
}

std::u32string_view rstrip(std::u32string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::u32string_view strip(std::u32string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return rstrip(text);
}

std::string_view rstrip_utf8(std::string_view text) {
  constexpr size_t longest = 4;
  for (;;) {
    size_t length = 1;
    while (length < longest && length < text.size() && (uint8_t(text[text.size() - length]) & 0xC0) == 0x80) ++length;
    char32_t c = 0;
    if (text.empty() || decode_one(text.substr(text.size() - length), c) != length || !is_space(c)) return text;
    text.remove_suffix(length);
  }
}

void split(std::u32string_view text, std::vector<std::u32string_view>& words) {
  words.clear();
  for (size_t i = 0; i < text.size();) {
    if (is_space(text[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < text.size() && !is_space(text[i])) ++i;
    words.push_back(text.substr(begin, i - begin));
  }
}

}  // namespace bough::unicode
