#include "apps/inference/shortlist.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

#include "core/base/error.h"
#include "core/base/io.h"
#include "core/base/log.h"
#include "core/base/settings.h"
#include "data/dictionary.h"

namespace bough {
namespace {

constexpr uint64_t magic = 0xF11A48D5013417F5;
constexpr size_t multiple = 8;  // of the words of a sentence: what other engines' products take

/// A checksum of the words from the third on.
uint64_t checksum(std::string_view content) {
  uint64_t h = 0;
  for (size_t at = 16; at + sizeof(uint64_t) <= content.size(); at += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, content.data() + at, sizeof word);
    h ^= word + 0x9e3779b9 + (h << 6) + (h >> 2);
  }
  return h;
}

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  check(in.is_open() && !std::filesystem::is_directory(path),
        "shortlist: '{}' cannot be read. Check its name and "
        "permissions",
        path);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Never of a pipe, which can be read but once.
bool is_binary(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) return false;
  std::ifstream in(path, std::ios::binary);
  uint64_t word = 0;
  return in.read(reinterpret_cast<char*>(&word), sizeof word) && word == magic;
}

bool is_text(const std::string& line) {
  return std::ranges::none_of(line, [](unsigned char c) { return std::iscntrl(c) && !std::isspace(c); });
}

template <class T>
std::vector<T> words_at(const std::string& content, size_t& at, uint64_t count, const std::string& path) {
  check(count <= (content.size() - at) / sizeof(T), "shortlist: '{}' is truncated. Get the file anew", path);
  std::vector<T> words(count);
  if (count > 0) std::memcpy(words.data(), content.data() + at, count * sizeof(T));
  at += count * sizeof(T);
  return words;
}

}  // namespace

bool parse_items(const std::vector<std::string>& items, ShortlistOptions& options) {
  ShortlistOptions parsed;
  bool is_on = true;
  if (items.empty() || (items.size() == 1 && parse_value(items[0], is_on) && !is_on)) {
    options = parsed;
    return true;
  }
  parsed.path = items[0];
  if (items.size() == 2 && parse_value(items[1], parsed.is_checked)) {
    options = parsed;
    return true;
  }
  const bool is_read = items.size() <= 4 && (items.size() < 2 || parse_value(items[1], parsed.first)) &&
                       (items.size() < 3 || parse_value(items[2], parsed.best)) &&
                       (items.size() < 4 || parse_value(items[3], parsed.prune));
  if (!is_read || parsed.first < 0 || parsed.best < 1 || !(parsed.prune >= 0)) return false;
  options = parsed;
  return true;
}

std::vector<std::string> format_items(const ShortlistOptions& options) {
  if (options.path.empty()) return {};
  if (!options.is_checked) return {options.path, "false"};
  return {options.path, std::to_string(options.first), std::to_string(options.best), format_value(options.prune)};
}

Shortlist::Shortlist(const ShortlistOptions& options, const Vocabulary& source, const Vocabulary& target)
    : path_(options.path),
      source_words_(source.size()),
      target_words_(target.size()),
      source_special_(source.special()),
      target_special_(target.special()),
      is_shared_(source.hash() == target.hash()) {
  if (is_binary(path_))
    read_binary(content_of(path_), options);
  else
    read_text(options, source, target);
}

void Shortlist::read_binary(const std::string& content, const ShortlistOptions& options) {
  size_t at = sizeof magic;
  const std::vector<uint64_t> head = words_at<uint64_t>(content, at, 5, path_);
  check(!options.is_checked || head[0] == checksum(content),
        "shortlist: '{}' is damaged: its checksum is {:x}, must be {:x}. Get the file anew", path_, checksum(content),
        head[0]);
  first_ = int64_t(std::min<uint64_t>(head[1], uint64_t(target_words_)));
  offsets_ = words_at<uint64_t>(content, at, head[3], path_);
  const std::vector<uint32_t> ids = words_at<uint32_t>(content, at, head[4], path_);
  check(offsets_.size() == size_t(source_words_) + 1,
        "shortlist: '{}' is for {} source words, the vocabulary has {}. Give the shortlist that was made for the model",
        path_, int64_t(offsets_.size()) - 1, source_words_);
  check(std::is_sorted(offsets_.begin(), offsets_.end()) && offsets_.back() <= ids.size(),
        "shortlist: '{}' is damaged: its offsets are not those of its words. Get the file anew", path_);
  for (const uint32_t id : ids) {
    check(id < uint32_t(target_words_),
          "shortlist: '{}' has target word {}, the vocabulary has {} words. Give the shortlist that was made for the "
          "model",
          path_, id, target_words_);
    ids_.push_back(int32_t(id));
  }
}

void Shortlist::read_text(const ShortlistOptions& options, const Vocabulary& source, const Vocabulary& target) {
  first_ = std::min(options.first, int(target_words_));
  auto probabilities = std::vector<std::map<int32_t, double>>(size_t(source_words_));
  LineReader lines(path_);
  int64_t entries = 0, known_entries = 0;
  for (std::string line; lines.next(line);) {
    std::vector<std::string> fields;
    for_each_token(line, [&](std::string_view token) { fields.emplace_back(token); });
    if (fields.empty()) continue;
    double probability = 0;
    check(is_text(line),
          "shortlist: '{}' line {} has control characters, must be a target word, a source word and a probability. "
          "Give a text, or a binary shortlist that is no pipe",
          path_, lines.line_number());
    check(fields.size() == 3 && parse_value(fields[2], probability),
          "shortlist: '{}' line {} is '{}', must be a target word, a source word and a probability", path_,
          lines.line_number(), line.substr(0, 100));
    if (fields[0] == "NULL" || fields[1] == "NULL") continue;
    const int32_t from = source.id(fields[1]), to = target.id(fields[0]);
    ++entries;
    known_entries += from != source_special_.unknown && to != target_special_.unknown;
    double& known = probabilities[size_t(from)][to];
    known = std::max(known, probability);
  }
  check(entries == 0 || known_entries > 0,
        "shortlist: '{}' has {} entries, and no words of the vocabularies '{}' and '{}' in any. Give the shortlist "
        "that was made for the model",
        path_, entries, source.path(), target.path());
  if (2 * known_entries < entries)
    log::warn("[data] shortlist: of {} entries of '{}', {} have words that the vocabularies have", entries, path_,
              known_entries);
  for (const auto& of_word : probabilities) {
    offsets_.push_back(ids_.size());
    std::vector<std::pair<double, int32_t>> best;
    for (const auto& [id, probability] : of_word)
      if (probability > options.prune) best.emplace_back(-probability, id);
    std::sort(best.begin(), best.end());
    best.resize(std::min(best.size(), size_t(options.best)));
    for (const auto& [_, id] : best) ids_.push_back(id);
  }
  offsets_.push_back(ids_.size());
}

std::vector<int32_t> Shortlist::words(std::span<const int32_t> tokens, std::span<const int32_t> always,
                                      int32_t banned) const {
  std::vector<int32_t> ids(size_t(first_) + 1, target_special_.end);
  std::iota(ids.begin(), ids.end() - 1, 0);
  const auto add = [&](int32_t source_word) {
    const uint64_t* const range = offsets_.data() + source_word;
    ids.insert(ids.end(), ids_.begin() + std::ptrdiff_t(range[0]), ids_.begin() + std::ptrdiff_t(range[1]));
    if (is_shared_) ids.push_back(source_word);
  };
  for (const int32_t token : tokens) add(token);
  add(source_special_.end);
  ids.insert(ids.end(), always.begin(), always.end());
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const size_t chosen = ids.size();
  for (auto id = int32_t(first_); ids.size() % multiple != 0 && id < target_words_; ++id)
    if (!std::binary_search(ids.begin(), ids.begin() + std::ptrdiff_t(chosen), id)) ids.push_back(id);
  std::inplace_merge(ids.begin(), ids.begin() + std::ptrdiff_t(chosen), ids.end());
  std::erase(ids, banned);
  return ids;
}

}  // namespace bough
