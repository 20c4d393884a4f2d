#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/base/random.h"

namespace bough {

/// Order-sensitive mix of two hashes.
inline uint64_t combine_hashes(uint64_t a, uint64_t b) { return mix_bits(a ^ mix_bits(b)); }

/// A 64-bit hash of bytes, the same on every machine of one byte order; to recognise files and
/// vocabularies, not against an adversary.
inline uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = bytes.size();
  while (!bytes.empty()) {
    uint64_t word = 0;
    const size_t count = bytes.size() < sizeof(word) ? bytes.size() : sizeof(word);
    std::memcpy(&word, bytes.data(), count);
    hash = combine_hashes(hash, word);
    bytes.remove_prefix(count);
  }
  return hash;
}

}  // namespace bough
