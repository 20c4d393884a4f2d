#include "data/vocabulary.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "data/dictionary.h"
#include "data/hash.h"
#include "data/sentencepiece.h"

namespace bough {
namespace {

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

}  // namespace

VocabularyKind vocabulary_kind(const std::string& path) {
  if (ends_with(path, ".spm")) return VocabularyKind::sentencepiece;
  for (const char* suffix : {".yml", ".yaml", ".json"})
    if (ends_with(path, suffix)) return VocabularyKind::dictionary;
  return VocabularyKind::plain_text;
}

Vocabulary::Vocabulary(std::string path) : path_(std::move(path)) {}
Vocabulary::~Vocabulary() = default;

std::shared_ptr<Vocabulary> load_vocabulary(const std::string& path, int32_t max_size) {
  std::shared_ptr<Vocabulary> vocabulary(new Vocabulary(path));
  if (vocabulary_kind(path) == VocabularyKind::sentencepiece)
    vocabulary->load_sentencepiece();
  else
    vocabulary->load_tokens(max_size);
  return vocabulary;
}

void Vocabulary::load_sentencepiece() {
  const std::string bytes = read_whole_file(path_);
  model_ = std::make_unique<SentencePieceModel>(bytes, path_);
  size_ = model_->size();
  special_ = model_->special();
  hash_ = hash_bytes(bytes);
}

void Vocabulary::load_tokens(int32_t max_size) {
  pieces_ = vocabulary_kind(path_) == VocabularyKind::dictionary ? read_dictionary(path_) : read_token_list(path_);
  if (max_size > 0 && pieces_.size() > size_t(std::max(max_size, 2))) pieces_.resize(size_t(std::max(max_size, 2)));
  size_ = int32_t(pieces_.size());
  for (int32_t id = 0; id < size_; ++id) {
    const auto& token = pieces_[size_t(id)];
    hash_ = combine_hashes(hash_, hash_bytes(token));
    if (token.empty()) continue;
    const auto [place, is_new] = ids_.emplace(token, id);
    if (is_new) continue;
    // As in Marian, which goes on with a dictionary.
    check(vocabulary_kind(path_) == VocabularyKind::dictionary,
          "vocabulary '{}': '{}' stands on lines {} and {}, must stand once. Put a word that no text has in place of "
          "the second: ids are line numbers.",
          path_, token, place->second + 1, id + 1);
    log::warn("[data] vocabulary '{}': '{}' has the ids {} and {}; the second one is never used", path_, token,
              place->second, id);
  }
  special_ = {find_special(end_token, "eos", end_id), find_special(unknown_token, "UNK", unknown_id)};
}

/// The token's id, but in dictionaries first what Nematus, whose dictionaries Marian reads too, has at `nematus_id`:
/// another spelling, or nothing.
int32_t Vocabulary::find_special(std::string_view token, std::string_view nematus_token, int32_t nematus_id) const {
  if (vocabulary_kind(path_) == VocabularyKind::dictionary && nematus_id < size_) {
    const std::string& there = pieces_[size_t(nematus_id)];
    if (there.empty() || there == nematus_token) return nematus_id;
  }
  const auto found = ids_.find(std::string(token));
  check(found != ids_.end(),
        "vocabulary '{}': none of its {} entries is '{}', one must be. Add it, or raise dim-vocabs if that cuts it off",
        path_, size_, token);
  return found->second;
}

int32_t Vocabulary::id(std::string_view piece) const {
  if (model_) return model_->id(piece);
  const auto found = ids_.find(std::string(piece));
  return found == ids_.end() ? special_.unknown : found->second;
}

std::vector<int32_t> Vocabulary::encode(std::string_view line) const {
  return model_ ? model_->encode(line) : encode_pieces(line);
}

bool Vocabulary::can_sample() const { return model_ && model_->is_unigram(); }

std::vector<int32_t> Vocabulary::sample(std::string_view line, double alpha, RandomStream& random) const {
  assert(can_sample());
  return model_->sample(line, alpha, random);
}

std::vector<int32_t> Vocabulary::encode_pieces(std::string_view line) const {
  std::vector<int32_t> ids;
  for_each_token(line, [&](std::string_view word) {
    const int32_t found = id(word);
    ids.push_back(found == special_.end ? special_.unknown : found);  // text must not end its own sentence
  });
  return ids;
}

std::string Vocabulary::decode(std::span<const int32_t> ids) const {
  std::vector<int32_t> kept;
  for (const int32_t id : ids) {
    if (id == special_.end) break;
    check(id < size_, "vocabulary '{}': id {} is outside its {} entries. Use the model's own vocabulary.", path_, id,
          size_);
    if (id >= 0) kept.push_back(id);
  }
  if (model_) return model_->decode(kept);
  std::string text;
  for (const int32_t id : kept) {
    if (!text.empty()) text += ' ';
    text += pieces_[size_t(id)];
  }
  return text;
}

std::string Vocabulary::decode_pieces(const std::vector<std::string>& pieces) const {
  return model_ ? model_->decode_pieces(pieces) : fmt::format("{}", fmt::join(pieces, " "));
}

std::vector<std::string> Vocabulary::split(std::string_view line, bool is_in_pieces) const {
  if (model_ && !is_in_pieces) return model_->split(line);
  std::vector<std::string> words;
  for_each_token(line, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

std::string Vocabulary::piece(int32_t id) const {
  check(id >= 0 && id < size_,
        "vocabulary '{}': id {} is outside its {} entries. Use the model's own "
        "vocabulary.",
        path_, id, size_);
  return model_ ? model_->piece(id) : pieces_[size_t(id)];
}

}  // namespace bough
