#include "apps/inference/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/random.h"
#include "core/base/settings.h"
#include "core/math.h"

namespace bough {
namespace {

struct Kind {
  const char* name;
  SamplingRule::Words words;
  size_t numbers;  // before the temperature
};
constexpr Kind kinds[] = {{"full", SamplingRule::Words::all, 0},
                          {"topk", SamplingRule::Words::best, 1},
                          {"nucleus", SamplingRule::Words::nucleus, 1},
                          {"epsilon", SamplingRule::Words::probable, 1}};

bool is_limit(const SamplingRule& rule) {
  if (rule.words == SamplingRule::Words::all) return true;
  if (rule.words == SamplingRule::Words::best) return rule.limit >= 1 && rule.limit == std::floor(rule.limit);
  return rule.limit > 0 && rule.limit <= 1;
}

struct Weighted {
  int32_t id;
  float weight;
};

/// The words that may be drawn, by id, and their weights, not normalised.
std::vector<Weighted> weights_of(std::span<const float> scores, double temperature, int32_t banned_id) {
  float best = -std::numeric_limits<float>::infinity();
  for (size_t id = 0; id < scores.size(); ++id)
    if (int32_t(id) != banned_id) best = std::max(best, scores[id]);
  std::vector<Weighted> words;
  if (!std::isfinite(best)) return words;
  const auto scale = float(std::min<double>(1 / temperature, std::numeric_limits<float>::max()));  // 0 inf is NaN
  words.reserve(scores.size());
  for (size_t id = 0; id < scores.size(); ++id)
    if (int32_t(id) != banned_id) words.push_back({int32_t(id), math::exp((scores[id] - best) * scale)});
  return words;
}

double total_of(const std::vector<Weighted>& words) {
  double total = 0;
  for (const Weighted& word : words) total += double(word.weight);
  return total;
}

bool is_before(const Weighted& a, const Weighted& b) {
  return a.weight > b.weight || (a.weight == b.weight && a.id < b.id);
}

void keep_best(std::vector<Weighted>& words, size_t count) {
  if (count >= words.size()) return;
  std::partial_sort(words.begin(), words.begin() + std::ptrdiff_t(count), words.end(), is_before);
  words.resize(count);
}

/// Words with less than (1 - P) / V of the probability are outside: all of them have less than 1 - P together. The
/// rest, most often few, is sorted.
void keep_nucleus(std::vector<Weighted>& words, double share) {
  const double total = total_of(words), least = (1 - share) / double(words.size()) * total;
  std::erase_if(words, [&](const Weighted& word) { return double(word.weight) < least; });
  std::ranges::sort(words, is_before);
  double sum = 0;
  size_t count = 0;
  while (count < words.size() && sum < share * total) sum += double(words[count++].weight);
  words.resize(count);
}

void keep_probable(std::vector<Weighted>& words, double least) {
  const Weighted best = *std::ranges::min_element(words, is_before);
  const double total = total_of(words);
  std::erase_if(words, [&](const Weighted& word) { return double(word.weight) < least * total; });
  if (words.empty()) words.push_back(best);
}

}  // namespace

bool parse_items(const std::vector<std::string>& items, SamplingRule& rule) {
  bool is_on = false;
  if (items.empty() || (items.size() == 1 && parse_value(items[0], is_on))) {
    rule = {is_on ? SamplingRule::Words::all : SamplingRule::Words::none};
    return true;
  }
  const auto kind = std::ranges::find_if(kinds, [&](const Kind& k) { return items[0] == k.name; });
  if (kind == std::end(kinds)) return false;
  if (items.size() < 1 + kind->numbers || items.size() > 2 + kind->numbers) return false;
  SamplingRule parsed{kind->words};
  if (kind->numbers == 1 && !parse_value(items[1], parsed.limit)) return false;
  if (items.size() == 2 + kind->numbers && !parse_value(items.back(), parsed.temperature)) return false;
  if (!is_limit(parsed) || !(parsed.temperature > 0) || !std::isfinite(parsed.temperature)) return false;
  rule = parsed;
  return true;
}

std::vector<std::string> format_items(const SamplingRule& rule) {
  std::vector<std::string> items;
  for (const Kind& kind : kinds) {
    if (rule.words != kind.words) continue;
    items.push_back(kind.name);
    if (kind.numbers == 1) items.push_back(format_value(rule.limit));
    items.push_back(format_value(rule.temperature));
  }
  return items;
}

double uniform_at(const DrawPlace& place) {
  const auto low = [](uint64_t x) { return uint32_t(x); };
  const auto high = [](uint64_t x) { return uint32_t(x >> 32); };
  const uint64_t key = mix_bits(place.seed), sentence = uint64_t(place.sentence);
  const Philox4 bits = philox(place.position, place.sample, low(sentence), high(sentence), low(key), high(key));
  const uint64_t wide = (uint64_t(bits.x[0]) << 32) | bits.x[1];
  return double(wide >> 11) * 0x1p-53;
}

int32_t draw_word(std::span<const float> scores, const SamplingRule& rule, int32_t banned_id, double uniform) {
  std::vector<Weighted> words = weights_of(scores, rule.temperature, banned_id);
  if (words.empty()) return -1;
  if (rule.words == SamplingRule::Words::best) keep_best(words, size_t(std::min(rule.limit, double(words.size()))));
  if (rule.words == SamplingRule::Words::nucleus) keep_nucleus(words, rule.limit);
  if (rule.words == SamplingRule::Words::probable) keep_probable(words, rule.limit);
  double left = uniform * total_of(words);
  for (const Weighted& word : words) {
    left -= double(word.weight);
    if (left < 0) return word.id;
  }
  // Rounding may leave a little: the last word with a weight.
  return std::find_if(words.rbegin(), words.rend(), [](const Weighted& word) { return word.weight > 0; })->id;
}

}  // namespace bough
