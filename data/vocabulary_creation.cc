// Making the vocabularies that do not exist yet from the training corpus.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/interrupt.h"
#include "core/base/io.h"
#include "core/base/log.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/base/unicode.h"
#include "data/corpus.h"
#include "data/dictionary.h"
#include "data/parallel_reader.h"
#include "data/sentencepiece.h"
#include "data/vocabulary.h"

namespace bough {
namespace {

constexpr int32_t default_pieces = 32000;  // SentencePiece's customary size, and Marian's default

/// Says now and then in the log that a long step is still running.
class Heartbeat {
 public:
  explicit Heartbeat(std::string what)
      : what_(std::move(what)), started_(std::chrono::steady_clock::now()), thread_([this] { beat(); }) {}
  ~Heartbeat() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count(); }

 private:
  void beat() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::seconds(10), [this] { return done_; }))
      log::info("[data] {}: {:.0f} s so far", what_, seconds());
  }

  std::string what_;
  std::chrono::steady_clock::time_point started_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;  // last: it uses the members above
};

/// What one missing vocabulary is made from.
struct Request {
  std::string path;
  std::set<size_t> sides;  ///< 0 source, 1 target
  int64_t max_size = 0;
};

/// Calls use(line) for each line of the wanted sides of the corpus.
template <class Use>
void for_each_line(const CorpusOptions& corpus, const std::set<size_t>& sides, Use use) {
  CorpusOptions text_alone = corpus;
  if (!corpus.tsv) {  // they may be pipes, to be read once
    text_alone.guided_alignment = "none";
    text_alone.data_weighting.clear();
  }
  ParallelReader reader(text_alone);
  Progress bar("reading text");
  std::string text[2];
  while (reader.next(text[0], text[1])) {
    bar.advance_to(reader.line_number());
    for (const size_t side : sides) {
      check_text(text[side], file_of_side(corpus, side), reader.line_number());
      use(text[side]);
    }
  }
}

/// At most `most` lines, each subset of that size equally likely (Vitter 1985, algorithm R).
class Reservoir {
 public:
  explicit Reservoir(int64_t most) : most_(most) {}
  void add(const std::string& line) {
    ++seen_;
    if (int64_t(lines_.size()) < most_) {
      lines_.push_back(line);
    } else if (const uint64_t at = random_.below(uint64_t(seen_)); at < lines_.size()) {
      lines_[at] = line;
    }
  }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  int64_t most_, seen_ = 0;
  RandomStream random_{1};  // not the run's seed: a vocabulary belongs to its corpus
  std::vector<std::string> lines_;
};

/// Whether SentencePiece finds something to learn in a line: its normalisation leaves out white space and its own mark
/// of it, control characters, what has no width and what stands for bytes that are no text; it leaves out lines with
/// the block that it keeps for itself; and of nothing at all it ends the process.
bool has_visible_character(const std::string& line) {
  constexpr char32_t space_mark = 0x2581, reserved = 0x2585, replacement = 0xFFFD;
  std::u32string text;
  unicode::decode_utf8(line, text);
  if (text.find(reserved) != text.npos) return false;
  return std::ranges::any_of(text, [](char32_t c) {
    const bool has_no_width = c == 0xAD || c == 0x180E || (c >= 0x200B && c <= 0x200F) ||
                              (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
                              (c >= 0xFFF0 && c <= 0xFFFB);
    const bool is_control = c < 0x20 || (c >= 0x7F && c <= 0x9F);
    return !is_control && !has_no_width && c != space_mark && c != replacement && !unicode::is_space(c);
  });
}

std::string make_sentencepiece(const Request& request, const CorpusOptions& corpus) {
  const bool takes_all = corpus.sentencepiece_max_lines == 0;
  Reservoir sample(takes_all ? std::numeric_limits<int64_t>::max() : corpus.sentencepiece_max_lines);
  SentencePieceTraining training{request.path, default_pieces, corpus.sentencepiece_options};
  if (request.max_size > 0) training.size = int32_t(request.max_size);
  const size_t longest = longest_line(training);
  int64_t too_long = 0;
  for_each_line(corpus, request.sides, [&](const std::string& line) {
    if (line.empty()) return;
    if (line.size() > longest) {  // the library leaves these out, without a word
      ++too_long;
      return;
    }
    sample.add(line);
  });
  if (too_long > 0)
    log::warn(
        "[data] vocabulary '{}': {} lines of more than {} bytes are left out; --max_sentence_length in "
        "sentencepiece-options takes longer ones",
        request.path, too_long, longest);
  check(std::ranges::any_of(sample.lines(), has_visible_character),
        "vocabulary '{}': the training text has no words to make it from in the {} lines that were taken. Check "
        "train-sets.",
        request.path, sample.lines().size());
  log::info("[data] training a SentencePiece vocabulary of {} pieces on {} lines: '{}'", training.size,
            sample.lines().size(), request.path);
  const std::string bytes = train_sentencepiece(sample.lines(), training);
  (void)SentencePieceModel(bytes, request.path);  // throws where it is none that can be used
  return bytes;
}

std::string make_dictionary(const Request& request, const CorpusOptions& corpus) {
  log::info("[data] making a vocabulary of the words of the training text: '{}'", request.path);
  TokenCounts counts;
  for_each_line(corpus, request.sides, [&](const std::string& line) { count_tokens(line, counts); });
  check(!counts.empty(), "vocabulary '{}': the training text has no words to make it from. Check train-sets.",
        request.path);
  const auto tokens = tokens_by_frequency(counts, request.max_size);
  if (vocabulary_kind(request.path) == VocabularyKind::dictionary) return format_dictionary(tokens);
  std::string text;
  for (const auto& token : tokens) text += token + "\n";
  return text;
}

void create(const Request& request, const CorpusOptions& corpus) {
  const std::string once = find_read_once(files_of(corpus));
  check(once.empty(),
        "vocabulary '{}' does not exist and cannot be made from {}, which is read only once. Give "
        "an existing file in vocabs.",
        request.path, once);
  FileLock lock(request.path + ".lock");  // another run may be making the same one
  if (lock.state() == FileLock::State::taken)
    log::info("[data] waiting for another run that makes vocabulary '{}' ({})", request.path, lock.holder());
  lock.wait(stop_if_interrupted);
  if (file_exists(request.path)) return;
  const Heartbeat heartbeat(request.path);
  const bool pieces = vocabulary_kind(request.path) == VocabularyKind::sentencepiece;
  const std::string content = pieces ? make_sentencepiece(request, corpus) : make_dictionary(request, corpus);
  write_file(request.path, content_for(request.path, content));
  log::info("[data] vocabulary '{}' written after {:.1f} s", request.path, heartbeat.seconds());
}

}  // namespace

std::vector<std::shared_ptr<Vocabulary>> load_or_create_vocabularies(const VocabularyOptions& options,
                                                                     const CorpusOptions& corpus,
                                                                     const std::string& trained_model) {
  std::vector<std::string> paths = options.paths;
  check(paths.size() == 2, "vocabs has {} files, must have 2: source, target.", paths.size());
  if (full_name(paths[0]) == full_name(paths[1])) paths[1] = paths[0];  // one file has one spelling
  std::map<std::string, Request> requests;
  for (size_t side = 0; side < paths.size(); ++side) {
    auto& request = requests[paths[side]];
    request.path = paths[side];
    request.sides.insert(side);
    const int64_t size = side < corpus.dim_vocabs.size() ? corpus.dim_vocabs[side] : 0;
    request.max_size = std::max(request.max_size, size);
  }
  std::map<std::string, std::shared_ptr<Vocabulary>> loaded;
  for (const auto& [path, request] : requests) {
    if (!file_exists(path)) {
      check(trained_model.empty(),
            "vocabs: '{}' does not exist, but '{}' was trained with it. Restore it, or start anew with no-reload.",
            path, trained_model);
      create(request, corpus);
    }
    loaded[path] = load_vocabulary(path, int32_t(request.max_size));
  }
  std::vector<std::shared_ptr<Vocabulary>> vocabularies;
  for (const auto& path : paths) vocabularies.push_back(loaded[path]);
  return vocabularies;
}

}  // namespace bough
