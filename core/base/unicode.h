#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Text as code points, with the properties that the scores of other tools depend on:
/// white space and lower case as in Python 3.11 (Unicode 14.0), categories of Unicode 15.0.
namespace bough::unicode {

/// Position of the first byte that is not part of valid UTF-8 (as Python decides: no surrogates,
/// no overlong forms, nothing above U+10FFFF); nothing if all of `text` is valid.
std::optional<size_t> find_invalid_utf8(std::string_view text);

/// Replaces `out` with the code points of `text`; each byte that is not valid UTF-8 becomes U+FFFD.
void decode_utf8(std::string_view text, std::u32string& out);
/// The same as a new string; and back.
std::u32string decode_utf8(std::string_view text);
std::string encode_utf8(std::u32string_view text);

/// Converts from an encoding that ICU knows by name ("latin-1", "cp1252") to UTF-8; nothing if
/// `bytes` is not valid in it. Throws Error if the encoding is unknown or does not contain ASCII.
std::optional<std::string> to_utf8(std::string_view bytes, const std::string& encoding);

/// Python's str.isspace.
bool is_space(char32_t c);
bool is_punctuation(char32_t c);  ///< categories P*
bool is_symbol(char32_t c);       ///< categories S*
bool is_number(char32_t c);       ///< categories N*

/// ASCII punctuation: !"#$%&'()*+,-./:;<=>?@[\]^_`{|}~
constexpr bool is_ascii_punctuation(char32_t c) {
  return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
}
constexpr bool is_ascii_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

/// Full lower case, in place: U+0130 becomes two code points, a final capital sigma becomes U+03C2.
void lower(std::u32string& text);

/// Without trailing (both sides': strip) white space.
std::u32string_view rstrip(std::u32string_view text);
std::u32string_view strip(std::u32string_view text);
/// The same of valid UTF-8.
std::string_view rstrip_utf8(std::string_view text);

/// Replaces `words` with the maximal runs of non-space characters; they point into `text`.
void split(std::u32string_view text, std::vector<std::u32string_view>& words);

}  // namespace bough::unicode
