#include "data/sentencepiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <mutex>
#include <sstream>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/settings.h"
#include "data/segmentation_sampler.h"
#include "data/vocabulary.h"

namespace bough {
namespace {

using Arguments = std::unordered_map<std::string, std::string>;

/// "--a=b --c" as {a: b, c: true}.
Arguments parse_options(const SentencePieceTraining& training) {
  Arguments arguments;
  std::istringstream words(training.options);
  for (std::string word; words >> word;) {
    check(word.size() > 2 && word.compare(0, 2, "--") == 0,
          "sentencepiece-options: '{}' must look like --name=value. Correct it.", word);
    const size_t equals = word.find('=');
    arguments[word.substr(2, equals == std::string::npos ? equals : equals - 2)] =
        equals == std::string::npos ? "true" : word.substr(equals + 1);
  }
  return arguments;
}

/// The last whole number in the text, or -1.
long last_number(const std::string& text) {
  const auto digit = [](char c) { return std::isdigit(uint8_t(c)) != 0; };
  const auto end = std::find_if(text.rbegin(), text.rend(), digit);
  const auto begin = std::find_if_not(end, text.rend(), digit);
  return end == text.rend() ? -1 : std::stol(std::string(begin.base(), end.base()));
}

/// The trainer's own message, "...: file(line) [condition] text", without the source position in front; the condition
/// that does not hold where there is no text.
std::string reason(const std::string& message) {
  const size_t begin = message.find(" ["), end = message.rfind("] ");
  if (begin == std::string::npos || end == std::string::npos || end < begin) return message;
  const std::string text = message.substr(end + 2);
  return text.empty() ? "must hold: " + message.substr(begin + 2, end - begin - 2) : text;
}

[[noreturn]] void fail_training(const SentencePieceTraining& training, const std::string& message) {
  if (message.find("size too high") != std::string::npos)
    fail(
        "vocabulary '{}': the corpus is too small for {} pieces, at most {} are possible. Lower "
        "dim-vocabs.",
        training.path, training.size, last_number(message));
  if (message.find("smaller than required_chars") != std::string::npos)
    fail(
        "vocabulary '{}': {} pieces are fewer than the corpus has different characters ({}). Raise "
        "dim-vocabs or give --character_coverage in sentencepiece-options.",
        training.path, training.size, reason(message));
  fail(
      "vocabulary '{}': SentencePiece cannot train it: {}. Check dim-vocabs and "
      "sentencepiece-options.",
      training.path, reason(message));
}

/// The pieces for the bytes of a character that is no piece; empty unless the model has byte_fallback.
std::vector<int32_t> byte_pieces(const sentencepiece::SentencePieceProcessor& processor, const std::string& character) {
  std::vector<int32_t> ids;
  for (const char c : character) {
    const int32_t id = processor.PieceToId(fmt::format("<0x{:02X}>", uint8_t(c)));
    if (!processor.IsByte(id)) return {};
    ids.push_back(id);
  }
  return ids;
}

class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(const std::vector<std::string>& lines) : lines_(lines) {}
  bool done() const override { return at_ == lines_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return lines_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& lines_;
  size_t at_ = 0;
};

}  // namespace

struct SentencePieceModel::Impl {
  const SegmentationSampler& sampler() {
    std::call_once(sampler_made, [this] { sampler_ = make_sampler(); });
    return *sampler_;
  }
  std::unique_ptr<SegmentationSampler> make_sampler() const;

  sentencepiece::SentencePieceProcessor processor;
  std::once_flag sampler_made;
  std::unique_ptr<SegmentationSampler> sampler_;
};

std::unique_ptr<SegmentationSampler> SentencePieceModel::Impl::make_sampler() const {
  constexpr double unknown_penalty = 10;  // the library's kUnkPenalty
  std::vector<SegmentationSampler::Piece> pieces;
  double least = 0;
  for (int32_t id = 0; id < processor.GetPieceSize(); ++id) {
    if (processor.IsControl(id) || processor.IsUnknown(id) || processor.IsUnused(id) || processor.IsByte(id)) continue;
    pieces.push_back({processor.IdToPiece(id), id, processor.GetScore(id)});
    least = std::min(least, pieces.back().score);
  }
  return std::make_unique<SegmentationSampler>(
      pieces, SegmentationSampler::Piece{"", processor.unk_id(), least - unknown_penalty});
}

SentencePieceModel::SentencePieceModel(const std::string& bytes, const std::string& path)
    : impl_(std::make_unique<Impl>()) {
  auto& processor = impl_->processor;
  check(!bytes.empty() && processor.LoadFromSerializedProto(bytes).ok(),
        "vocabulary '{}': not a SentencePiece model. Check the file, or remove it to train a new "
        "one.",
        path);
  check(processor.eos_id() >= 0, "vocabulary '{}': has no </s>, must have one. Train it without --eos_id=-1", path);
}
SentencePieceModel::~SentencePieceModel() = default;

SpecialIds SentencePieceModel::special() const { return {impl_->processor.eos_id(), impl_->processor.unk_id()}; }

std::vector<int32_t> SentencePieceModel::encode(std::string_view line) const {
  std::vector<int> ids;
  const auto status = impl_->processor.Encode({line.data(), line.size()}, &ids);
  check(status.ok(), "SentencePiece: a line of {} bytes cannot be encoded: {}", line.size(), status.ToString());
  return ids;
}

bool SentencePieceModel::is_unigram() const {
  std::vector<std::vector<int>> segmentations;
  return impl_->processor.NBestEncode("a", 1, &segmentations).ok();  // other models have no n-best list
}

std::vector<int32_t> SentencePieceModel::sample(std::string_view line, double alpha, RandomStream& random) const {
  auto& processor = impl_->processor;
  std::vector<std::string> best;
  const auto status = processor.Encode({line.data(), line.size()}, &best);
  check(status.ok(), "SentencePiece: a line of {} bytes cannot be encoded: {}", line.size(), status.ToString());
  // Together the pieces are the normalised line. With byte_fallback some stand for a byte of it: <0xC3>.
  std::string normalised;
  for (const std::string& piece : best)
    if (processor.IsByte(processor.PieceToId(piece)))
      normalised += char(std::stoi(piece.substr(3, 2), nullptr, 16));
    else
      normalised += piece;
  const int32_t unknown = processor.unk_id();
  std::vector<int32_t> ids;
  for (const auto& piece : impl_->sampler().sample(normalised, alpha, random)) {
    if (piece.id != unknown)
      ids.push_back(piece.id);
    else if (const std::vector<int32_t> bytes = byte_pieces(processor, piece.text); !bytes.empty())
      ids.insert(ids.end(), bytes.begin(), bytes.end());
    else if (ids.empty() || ids.back() != unknown)  // a run of unknown characters is one token, as in Encode
      ids.push_back(unknown);
  }
  return ids;
}

std::string SentencePieceModel::decode(const std::vector<int32_t>& ids) const {
  std::string text;
  const auto status = impl_->processor.Decode(ids, &text);
  check(status.ok(), "SentencePiece: {} pieces cannot be decoded: {}", ids.size(), status.ToString());
  return text;
}

std::string SentencePieceModel::decode_pieces(const std::vector<std::string>& pieces) const {
  std::string text;
  const auto status = impl_->processor.Decode(pieces, &text);
  check(status.ok(), "SentencePiece: {} pieces cannot be decoded: {}", pieces.size(), status.ToString());
  return text;
}

std::vector<std::string> SentencePieceModel::split(std::string_view line) const {
  std::vector<std::string> pieces;
  const auto status = impl_->processor.Encode({line.data(), line.size()}, &pieces);
  check(status.ok(), "SentencePiece: a line of {} bytes cannot be encoded: {}", line.size(), status.ToString());
  return pieces;
}

int32_t SentencePieceModel::size() const { return impl_->processor.GetPieceSize(); }
std::string SentencePieceModel::piece(int32_t id) const { return impl_->processor.IdToPiece(id); }
int32_t SentencePieceModel::id(std::string_view piece) const {
  return impl_->processor.PieceToId({piece.data(), piece.size()});
}

size_t longest_line(const SentencePieceTraining& training) {
  const Arguments arguments = parse_options(training);
  const auto given = arguments.find("max_sentence_length");
  int64_t bytes = 4192;  // the library's
  check(given == arguments.end() || parse_value(given->second, bytes),
        "sentencepiece-options: --max_sentence_length is '{}', must be a number of bytes. Correct it.",
        given == arguments.end() ? "" : given->second);
  return size_t(std::max<int64_t>(bytes, 0));
}

std::string train_sentencepiece(const std::vector<std::string>& lines, const SentencePieceTraining& training) {
  Arguments arguments = parse_options(training);
  check(!arguments.contains("vocab_size"),
        "sentencepiece-options: --vocab_size is what dim-vocabs says. Leave it out.");
  // The library's log would stand between ours; its errors come back as a status.
  arguments.emplace("minloglevel", "2");
  arguments["vocab_size"] = std::to_string(training.size);
  // Marian's ids, unless the options say others. The number of threads stays the library's constant, never the
  // machine's: sums of the EM algorithm depend on it, and so would the bytes of the vocabulary.
  arguments.emplace("eos_id", std::to_string(end_id));
  arguments.emplace("unk_id", std::to_string(unknown_id));
  for (const char* none : {"bos_id", "pad_id"}) arguments.emplace(none, "-1");
  Lines iterator(lines);
  std::string bytes, problem;
  try {
    const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &iterator, &bytes);
    if (!status.ok()) problem = status.ToString();
  } catch (const std::exception& e) {  // some versions throw for bad option values
    problem = e.what();
  }
  if (!problem.empty()) fail_training(training, problem);
  return bytes;
}

}  // namespace bough
