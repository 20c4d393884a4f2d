#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/inference/model_file.h"
#include "data/vocabulary.h"

namespace bough {

/// Turns lines into token ids for inference, where no line may be lost and none is refused: bytes that are not
/// UTF-8 become U+FFFD, NUL becomes a space, '\r' at the end goes, what is beyond `longest` tokens is cut.
/// Each is told once, with the line, as a warning. One thread at a time.
class TextEncoder {
 public:
  /// what: names the text in warnings ("input", a file). longest: tokens, end of sentence included.
  /// cuts_by_request: cutting is no reason for a warning, only for a line in the log.
  TextEncoder(std::string what, std::shared_ptr<const Vocabulary> vocabulary, int64_t longest, bool is_in_pieces,
              bool cuts_by_request = false);

  /// Token ids without end_id. number: of the line, from 1. `words`, unless null, becomes the same tokens as text.
  std::vector<int32_t> encode(std::string line, int64_t number, std::vector<std::string>* words = nullptr);

 private:
  void repair(std::string& line, int64_t number);
  std::string what_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  int64_t longest_;
  bool is_in_pieces_, cuts_by_request_;
  bool warned_utf8_ = false, warned_nul_ = false, warned_length_ = false;
};

/// The model's vocabularies, source and target, from the files given. Throws Error if one does not fit the
/// model (its number of entries) or there are not two.
std::vector<std::shared_ptr<Vocabulary>> load_model_vocabularies(const std::vector<std::string>& paths,
                                                                 const ModelOptions& options,
                                                                 const std::string& model_path);

}  // namespace bough
