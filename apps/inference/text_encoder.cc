#include "apps/inference/text_encoder.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/base/unicode.h"

namespace bough {

TextEncoder::TextEncoder(std::string what, std::shared_ptr<const Vocabulary> vocabulary, int64_t longest,
                         bool is_in_pieces, bool cuts_by_request)
    : what_(std::move(what)),
      vocabulary_(std::move(vocabulary)),
      longest_(longest),
      is_in_pieces_(is_in_pieces),
      cuts_by_request_(cuts_by_request) {}

void TextEncoder::repair(std::string& line, int64_t number) {
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line.find('\0') != std::string::npos) {
    if (!std::exchange(warned_nul_, true))
      log::warn("[data] {}: line {} contains NUL bytes; here and in later lines they are read as spaces", what_,
                number);
    std::replace(line.begin(), line.end(), '\0', ' ');
  }
  if (const auto invalid = unicode::find_invalid_utf8(line)) {
    if (!std::exchange(warned_utf8_, true))
      log::warn(
          "[data] {}: line {} is not UTF-8 at byte {}; here and in later lines such bytes are read as "
          "U+FFFD",
          what_, number, *invalid + 1);
    line = unicode::encode_utf8(unicode::decode_utf8(line));
  }
}

std::vector<int32_t> TextEncoder::encode(std::string line, int64_t number, std::vector<std::string>* words) {
  repair(line, number);
  if (words) *words = vocabulary_->split(line, is_in_pieces_);
  std::vector<int32_t> ids = is_in_pieces_ ? vocabulary_->encode_pieces(line) : vocabulary_->encode(line);
  if (int64_t(ids.size()) + 1 > longest_) {
    if (!std::exchange(warned_length_, true))
      log::write(cuts_by_request_ ? log::Level::info : log::Level::warn,
                 fmt::format("[data] {}: line {} has {} tokens; it and later lines are cut to max-length, {}", what_,
                             number, ids.size() + 1, longest_));
    ids.resize(size_t(longest_ - 1));
    if (words) words->resize(std::min(words->size(), ids.size()));
  }
  return ids;
}

std::vector<std::shared_ptr<Vocabulary>> load_model_vocabularies(const std::vector<std::string>& paths,
                                                                 const ModelOptions& options,
                                                                 const std::string& model_path) {
  check(paths.size() == 2, "vocabs: {} file{} given, must be two, the source's and the target's", paths.size(),
        paths.size() == 1 ? "" : "s");
  std::vector<std::shared_ptr<Vocabulary>> vocabularies;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (i > 0 && paths[i] == paths[0] && options.vocab_sizes.front() == options.vocab_sizes.back()) {
      vocabularies.push_back(vocabularies[0]);
      continue;
    }
    const int size = i == 0 ? options.vocab_sizes.front() : options.vocab_sizes.back();
    vocabularies.push_back(load_vocabulary(paths[i], size));
    check(vocabularies[i]->size() == size,
          "vocabulary '{}': {} entries, but the model '{}' has {} on that side. Give the vocabulary that it was "
          "trained with",
          paths[i], vocabularies[i]->size(), model_path, size);
  }
  return vocabularies;
}

}  // namespace bough
