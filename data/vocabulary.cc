#include "data/vocabulary.h"

#include <algorithm>
#include <cassert>

#include "core/base/error.h"
#include "core/base/files.h"
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
  hash_ = hash_bytes(bytes);
}

void Vocabulary::load_tokens(int32_t max_size) {
  pieces_ = vocabulary_kind(path_) == VocabularyKind::dictionary ? read_dictionary(path_) : read_token_list(path_);
  // Nematus, whose dictionaries Marian reads too, spells the first two "eos" and "UNK".
  const auto is = [&](size_t id, std::string_view name, std::string_view nematus) {
    return id < pieces_.size() && (pieces_[id] == name || pieces_[id] == nematus);
  };
  check(is(end_id, end_token, "eos") && is(unknown_id, unknown_token, "UNK"),
        "vocabulary '{}': ids 0 and 1 are '{}' and '{}', must be '</s>' and '<unk>'. Put them first.", path_,
        pieces_.empty() ? "" : pieces_[0], pieces_.size() < 2 ? "" : pieces_[1]);
  if (max_size > 0 && pieces_.size() > size_t(std::max(max_size, 2))) pieces_.resize(size_t(std::max(max_size, 2)));
  size_ = int32_t(pieces_.size());
  for (int32_t id = 0; id < size_; ++id) {
    const auto& token = pieces_[size_t(id)];
    hash_ = combine_hashes(hash_, hash_bytes(token));
    if (!token.empty()) ids_.emplace(token, id);
  }
}

int32_t Vocabulary::id(std::string_view piece) const {
  if (model_) return model_->id(piece);
  const auto found = ids_.find(std::string(piece));
  return found == ids_.end() ? unknown_id : found->second;
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
    ids.push_back(found == end_id ? unknown_id : found);  // text must not end its own sentence
  });
  return ids;
}

std::string Vocabulary::decode(std::span<const int32_t> ids) const {
  std::vector<int32_t> kept;
  for (const int32_t id : ids) {
    if (id == end_id) break;
    check(id < size_, "vocabulary '{}': id {} is outside its {} entries. Use the model's own vocabulary.", path_, id,
          size_);
    if (id > 0) kept.push_back(id);
  }
  if (model_) return model_->decode(kept);
  std::string text;
  for (const int32_t id : kept) {
    if (!text.empty()) text += ' ';
    text += pieces_[size_t(id)];
  }
  return text;
}

std::string Vocabulary::piece(int32_t id) const {
  check(id >= 0 && id < size_,
        "vocabulary '{}': id {} is outside its {} entries. Use the model's own "
        "vocabulary.",
        path_, id, size_);
  return model_ ? model_->piece(id) : pieces_[size_t(id)];
}

}  // namespace bough
