#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bough::example {

struct SentencePair {
  std::string english, german;
};

/// Distinct English sentences about dates, times, prices and measures, in words, with their German
/// translations: each English sentence has exactly one. The same seed gives the same sentences on
/// every machine; splits of the result are disjoint. Throws Error when that many do not exist.
std::vector<SentencePair> make_corpus(std::size_t sentences, std::uint64_t seed);

}  // namespace bough::example
