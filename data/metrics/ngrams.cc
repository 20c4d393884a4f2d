#include "data/metrics/ngrams.h"

#include <algorithm>

namespace bough {
namespace {

constexpr size_t smallest_table = 1024;  // slots; a power of two, as all table sizes
constexpr size_t large_table = 1 << 16;  // a table above this is given back after one large line

uint64_t mix(uint64_t x) {
  x *= 0x9E3779B97F4A7C15;
  return x ^ (x >> 32);
}

uint64_t hash_of(std::u32string_view word) {
  uint64_t hash = word.size();
  for (const char32_t c : word) hash = mix(hash ^ c);
  return hash;
}

/// Makes all slots unused, in constant time except when the generations run out.
template <class Slots>
void start_generation(Slots& slots, uint32_t& generation) {
  if (slots.size() > large_table) slots = Slots(smallest_table);
  if (++generation != 0) return;
  std::ranges::fill(slots, typename Slots::value_type{});
  generation = 1;
}

}  // namespace

WordIds::WordIds() : slots_(smallest_table) { clear(); }

void WordIds::clear() {
  start_generation(slots_, generation_);
  letters_.clear();
  begins_.assign(1, 0);
}

size_t WordIds::slot_of(std::u32string_view word, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.generation != generation_) return i;
    if (slot.hash != hash) continue;
    const size_t begin = begins_[slot.id], end = begins_[slot.id + 1];
    if (std::u32string_view(letters_).substr(begin, end - begin) == word) return i;
  }
}

void WordIds::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.generation != generation_) continue;
    size_t i = slot.hash & mask;
    while (slots_[i].generation == generation_) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

uint32_t WordIds::add(std::u32string_view word) {
  const uint64_t hash = hash_of(word);
  size_t at = slot_of(word, hash);
  if (slots_[at].generation == generation_) return slots_[at].id;
  const auto id = uint32_t(begins_.size() - 1);
  if (begins_.size() * 2 > slots_.size()) {
    grow();
    at = slot_of(word, hash);
  }
  letters_ += word;
  begins_.push_back(letters_.size());
  slots_[at] = {hash, id, generation_};
  return id;
}

uint32_t WordIds::find(std::u32string_view word) const {
  const Slot& slot = slots_[slot_of(word, hash_of(word))];
  return slot.generation == generation_ ? slot.id : unknown;
}

NgramCounts::NgramCounts() : slots_(smallest_table) { clear(); }

void NgramCounts::clear() {
  start_generation(slots_, generation_);
  nodes_.assign(1, Node{});
  text_ = 0;
}

size_t NgramCounts::slot_of(uint64_t key) const {
  const size_t mask = slots_.size() - 1;
  size_t i = mix(key) & mask;
  while (slots_[i].generation == generation_ && slots_[i].key != key) i = (i + 1) & mask;
  return i;
}

uint32_t NgramCounts::find(uint32_t parent, uint32_t symbol) const {
  const Slot& slot = slots_[slot_of(uint64_t(parent) << 32 | symbol)];
  return slot.generation == generation_ ? slot.node : none;
}

uint32_t NgramCounts::insert(uint32_t parent, uint32_t symbol) {
  const uint64_t key = uint64_t(parent) << 32 | symbol;
  Slot& slot = slots_[slot_of(key)];
  if (slot.generation == generation_) return slot.node;
  const auto node = uint32_t(nodes_.size());
  slot = {key, node, generation_};
  nodes_.push_back({});
  if (nodes_.size() * 2 > slots_.size()) resize(slots_.size() * 2);
  return node;
}

void NgramCounts::resize(size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  for (const Slot& slot : old)
    if (slot.generation == generation_) slots_[slot_of(slot.key)] = slot;
}

uint32_t NgramCounts::count_in_text(Node& node) const {
  if (node.text != text_) {
    node.text = text_;
    node.count = 0;
  }
  return ++node.count;
}

void NgramCounts::add(std::span<const uint32_t> symbols, int max_order) {
  ++text_;
  for (size_t begin = 0; begin < symbols.size(); ++begin) {
    const size_t end = std::min(symbols.size(), begin + size_t(max_order));
    uint32_t node = root;
    for (size_t i = begin; i < end; ++i) {
      node = insert(node, symbols[i]);
      Node& ngram = nodes_[node];
      ngram.limit = std::max(ngram.limit, count_in_text(ngram));
    }
  }
}

void NgramCounts::match(std::span<const uint32_t> symbols, int max_order, std::span<double> matches) {
  ++text_;
  std::fill_n(matches.begin(), max_order, 0.0);
  for (size_t begin = 0; begin < symbols.size(); ++begin) {
    const size_t end = std::min(symbols.size(), begin + size_t(max_order));
    uint32_t node = root;
    for (size_t i = begin; i < end; ++i) {
      node = find(node, symbols[i]);
      if (node == none) break;  // no reference has it, nor anything longer that begins with it
      Node& ngram = nodes_[node];
      if (count_in_text(ngram) <= ngram.limit) matches[i - begin] += 1;
    }
  }
}

}  // namespace bough
