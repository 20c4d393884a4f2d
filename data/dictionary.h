#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bough {

/// Reads a flat dictionary `token: id` (YAML, or JSON if it begins with '{') as tokens by id; an id
/// without a token gives "". Throws Error with the line number for anything else.
std::vector<std::string> read_dictionary(const std::string& path);

/// Reads one token per line; the first has id 0. Throws Error for an empty file or an empty line
/// inside.
std::vector<std::string> read_token_list(const std::string& path);

/// Calls use(token) for every run of characters that are not in `space`: ASCII's.
template <class Use>
void for_each_token(std::string_view line, Use use, std::string_view space = " \t\r\n\v\f") {
  for (size_t at = line.find_first_not_of(space); at != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(space, at), line.size());
    use(line.substr(at, end - at));
    at = line.find_first_not_of(space, end);
  }
}

/// How often each token occurs.
using TokenCounts = std::unordered_map<std::string, int64_t>;

/// Adds the white-space separated tokens of one line.
void count_tokens(std::string_view line, TokenCounts& counts);

/// `</s>`, `<unk>`, then the tokens by falling frequency, equal ones in byte order; at most
/// max_size entries in all, 0 = no limit.
std::vector<std::string> tokens_by_frequency(const TokenCounts& counts, int64_t max_size);

/// The YAML text of a dictionary, one `token: id` a line, in order of id.
std::string format_dictionary(const std::vector<std::string>& tokens);

}  // namespace bough
