// Making the vocabularies that do not exist yet from the training corpus.
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/base/progress.h"
#include "core/base/random.h"
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

std::string make_sentencepiece(const Request& request, const CorpusOptions& corpus) {
  Reservoir sample(corpus.sentencepiece_max_lines);
  for_each_line(corpus, request.sides, [&](const std::string& line) {
    if (!line.empty()) sample.add(line);
  });
  check(!sample.lines().empty(), "vocabulary '{}': the training text has no words to make it from. Check train-sets.",
        request.path);
  SentencePieceTraining training{request.path, default_pieces, corpus.sentencepiece_options};
  if (request.max_size > 0) training.size = int32_t(request.max_size);
  log::info("[data] training a SentencePiece vocabulary of {} pieces on {} lines: '{}'", training.size,
            sample.lines().size(), request.path);
  return train_sentencepiece(sample.lines(), training);
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
  const Heartbeat heartbeat(request.path);
  const bool pieces = vocabulary_kind(request.path) == VocabularyKind::sentencepiece;
  write_file(request.path, pieces ? make_sentencepiece(request, corpus) : make_dictionary(request, corpus));
  log::info("[data] vocabulary '{}' written after {:.1f} s", request.path, heartbeat.seconds());
}

std::vector<std::string> vocabulary_paths(const VocabularyOptions& options, const CorpusOptions& corpus) {
  if (!options.paths.empty()) {
    check(options.paths.size() == 2, "vocabs has {} files, must have 2: source, target.", options.paths.size());
    return options.paths;
  }
  check(!corpus.tsv && corpus.train_sets.size() == 2,
        "vocabs is missing, must name 2 files: source, target. They are made if they do not exist.");
  return {corpus.train_sets[0] + ".yml", corpus.train_sets[1] + ".yml"};
}

}  // namespace

std::vector<std::shared_ptr<Vocabulary>> load_or_create_vocabularies(const VocabularyOptions& options,
                                                                     const CorpusOptions& corpus,
                                                                     const std::string& trained_model) {
  const auto paths = vocabulary_paths(options, corpus);
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
