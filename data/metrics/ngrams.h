#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bough {

/// Numbers for words, exact (no hash decides equality), in order of appearance.
class WordIds {
 public:
  static constexpr uint32_t unknown = UINT32_MAX;

  WordIds();
  void clear();
  /// The number of `word`, a new one if it was not seen since clear().
  uint32_t add(std::u32string_view word);
  /// The number of `word`, or `unknown`.
  uint32_t find(std::u32string_view word) const;

 private:
  struct Slot {
    uint64_t hash = 0;
    uint32_t id = 0;
    uint32_t generation = 0;  // the slot is in use if this is the table's
  };
  size_t slot_of(std::u32string_view word, uint64_t hash) const;
  void grow();

  std::vector<Slot> slots_;
  uint32_t generation_ = 1;
  std::u32string letters_;      // all words, one after another
  std::vector<size_t> begins_;  // where word i begins in letters_; one more for the end
};

/// How often each n-gram occurs in reference texts, and how many of those a hypothesis matches.
/// An n-gram is a node of a trie, so orders 1..max_order cost one table look-up a position each.
/// Symbols are any numbers below 2^32 - 1. One object serves one thread.
class NgramCounts {
 public:
  NgramCounts();
  /// Forgets all texts.
  void clear();
  /// Adds a reference; the count of an n-gram is the largest over the references added.
  void add(std::span<const uint32_t> symbols, int max_order);
  /// matches[n-1] = sum over the n-grams of `symbols` of min(count there, count in the references).
  void match(std::span<const uint32_t> symbols, int max_order, std::span<double> matches);

 private:
  struct Slot {
    uint64_t key = 0;  // (parent node, symbol)
    uint32_t node = 0;
    uint32_t generation = 0;
  };
  struct Node {
    uint32_t text = 0;   // the text that `count` is of
    uint32_t count = 0;  // in that text
    uint32_t limit = 0;  // largest count over the references
  };
  static constexpr uint32_t root = 0, none = UINT32_MAX;
  size_t slot_of(uint64_t key) const;
  uint32_t find(uint32_t parent, uint32_t symbol) const;
  uint32_t insert(uint32_t parent, uint32_t symbol);
  void resize(size_t slots);
  uint32_t count_in_text(Node& node) const;

  std::vector<Slot> slots_;
  uint32_t generation_ = 1;
  std::vector<Node> nodes_;
  uint32_t text_ = 0;  // number of the text being added or matched
};

/// Number of n-grams of one order in a text.
constexpr double ngram_total(size_t symbols, int order) {
  return symbols < size_t(order) ? 0.0 : double(symbols) - order + 1;
}

}  // namespace bough
