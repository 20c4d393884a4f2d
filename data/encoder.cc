#include "data/encoder.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "core/base/log.h"
#include "core/base/progress.h"
#include "data/data_weights.h"
#include "data/hash.h"
#include "data/word_alignment.h"

namespace bough {
namespace {

constexpr uint64_t segmentation_stream = 0x5E6;  // apart from the streams of data/shuffle

/// Lines of one block as read, to be encoded by whichever thread is free.
struct RawBlock {
  int64_t first_line = 0;
  std::vector<RawPair> pairs;
};

std::vector<int32_t> encode_line(const std::string& text, const EncodingRules& rules, size_t side, int64_t line,
                                 int64_t epoch) {
  const auto& vocabulary = *rules.vocabularies[side];
  if (rules.in_pieces) return vocabulary.encode_pieces(text);
  if (epoch == 0 || rules.alpha(side) == 0) return vocabulary.encode(text);
  const uint64_t place = combine_hashes(uint64_t(epoch), uint64_t(2 * line) + side);
  RandomStream random(rules.seed, combine_hashes(segmentation_stream, place));
  return vocabulary.sample(text, rules.alpha(side), random);
}

/// What there is to learn of a line's alignment; `tokens`: of its sides, and what is kept of them.
std::vector<int32_t> encode_alignment(const std::string& text, const EncodingRules& rules, int64_t line,
                                      const size_t (&tokens)[2], const size_t (&kept)[2]) {
  const std::string where = fmt::format("'{}': line {}", file_of_alignments(rules.corpus), line + 1);
  const std::vector<AlignmentPoint> points = parse_alignment(text, where);
  check_alignment(points, tokens[0], tokens[1], where);
  return training_points(points, tokens, kept);
}

std::vector<int32_t> encode_weights(const std::string& text, const EncodingRules& rules, int64_t line, size_t tokens,
                                    size_t kept) {
  const WeightLevel level = rules.corpus.data_weighting_type;
  const std::string where = fmt::format("'{}': line {}", file_of_weights(rules.corpus), line + 1);
  const std::vector<float> weights = parse_weights(text, where);
  check_weights(weights, level, tokens, where);
  return training_weights(weights, level, tokens, kept, rules.right_left);
}

TokenBlock encode_block(const RawBlock& raw, const EncodingRules& rules, int64_t epoch) {
  TokenBlock block;
  block.first_line = raw.first_line;
  block.has_alignments = rules.corpus.has_alignments();
  block.has_weights = rules.corpus.has_weights();
  const auto most = size_t(rules.corpus.max_length - 1);  // the end of sentence counts
  for (uint32_t line = 0; line < raw.pairs.size(); ++line) {
    const RawPair& pair = raw.pairs[line];
    const int64_t number = raw.first_line + line;
    std::vector<int32_t> ids[2], points, weights;
    size_t tokens[2];
    bool is_long = false;
    for (size_t side = 0; side < 2; ++side) {
      const std::string& text = side == 0 ? pair.source : pair.target;
      check_text(text, file_of_side(rules.corpus, side), number + 1);
      ids[side] = encode_line(text, rules, side, number, epoch);
      tokens[side] = ids[side].size();
      if (tokens[side] <= most) continue;
      is_long = true;
      if (rules.corpus.max_length_crop) ids[side].resize(most);
    }
    if (block.has_alignments)
      points = encode_alignment(pair.alignment, rules, number, tokens, {ids[0].size(), ids[1].size()});
    if (block.has_weights) weights = encode_weights(pair.weights, rules, number, tokens[1], ids[1].size());
    ++block.found.lines;
    if (rules.right_left) std::reverse(ids[1].begin(), ids[1].end());
    if (is_long) ++(rules.corpus.max_length_crop ? block.found.cropped : block.found.dropped);
    if (!is_long || rules.corpus.max_length_crop) block.add(line, ids[0], ids[1], points, weights);
  }
  return block;
}

/// Threads that run tasks in the order given. The destructor drops tasks that were not begun.
class Workers {
 public:
  using Task = std::packaged_task<TokenBlock()>;

  explicit Workers(int threads) {
    try {
      for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
    } catch (const std::system_error& error) {  // fewer will do
      check(!threads_.empty(), "data-threads: the system gives no thread ({}). Raise its limit (ulimit -u)",
            error.code().message());
    }
  }
  ~Workers() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
  }
  std::future<TokenBlock> start(Task task) {
    auto result = task.get_future();
    {
      std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    changed_.notify_one();
    return result;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (stopping_) return;
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

/// Shows how far a long pass is: on the terminal, and in the log every ten seconds.
class EncodingProgress {
 public:
  /// A bar unless training's own is there.
  explicit EncodingProgress(bool has_bar) {
    if (has_bar) bar_.emplace("encoding");
  }
  void report(int64_t lines) {
    if (bar_) bar_->advance_to(lines);
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return;
    next_ = now + interval;
    log::info("[data] encoded {} sentence pairs so far", lines);
  }

 private:
  static constexpr std::chrono::seconds interval{10};
  std::optional<Progress> bar_;
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + interval;
};

/// Reads the lines of one block; fewer at the end of the input.
RawBlock read_block(ParallelReader& reader, int64_t most_lines) {
  RawBlock raw;
  raw.first_line = reader.line_number();
  RawPair pair;
  const int64_t lines = std::min<int64_t>(most_lines, block_lines);
  while (int64_t(raw.pairs.size()) < lines && reader.next(pair)) raw.pairs.push_back(std::move(pair));
  return raw;
}

}  // namespace

uint64_t EncodingRules::hash() const {
  uint64_t hash = 1;
  for (const auto& vocabulary : vocabularies)
    for (const uint64_t value :
         {vocabulary->hash(), uint64_t(vocabulary->special().end), uint64_t(vocabulary->special().unknown)})
      hash = combine_hashes(hash, value);
  for (const int value : {int(in_pieces), int(right_left), corpus.max_length, int(corpus.max_length_crop),
                          int(corpus.tsv), corpus.tsv_fields})
    hash = combine_hashes(hash, uint64_t(value));
  // By their names, too: a file of one may be taken for the other.
  if (corpus.has_weights())
    hash = combine_hashes(
        hash, hash_bytes(fmt::format("data-weighting {} {}", int(corpus.data_weighting_type), corpus.data_weighting)));
  if (corpus.has_alignments())
    hash = combine_hashes(hash, hash_bytes(fmt::format("guided-alignment {}", corpus.guided_alignment)));
  return hash;
}

uint64_t EncodingRules::hash_of_alphas() const {
  return combine_hashes(std::bit_cast<uint64_t>(alpha(0)), std::bit_cast<uint64_t>(alpha(1)));
}

bool encode(ParallelReader& reader, const EncodingRules& rules, const EncodingPass& pass, TokenCacheWriter& writer) {
  int64_t most_lines = pass.most_lines;
  // Blocks are fixed by line numbers and written in order: the file does not depend on threads.
  const auto in_flight_most = size_t(4 * std::max(rules.threads, 1));
  std::deque<std::future<TokenBlock>> in_flight;
  Workers workers(std::max(rules.threads, 1));
  EncodingProgress progress(pass.epoch == 0);
  const auto write_oldest = [&] {
    writer.add(in_flight.front().get());
    in_flight.pop_front();
    progress.report(writer.statistics().lines);
  };
  bool ended = false;
  while (!ended && most_lines > 0) {
    check(!pass.stop.stop_requested(), "training data: encoding was stopped");
    stop_if_interrupted();
    auto raw = std::make_shared<RawBlock>(read_block(reader, most_lines));
    const auto lines = int64_t(raw->pairs.size());
    ended = lines < std::min<int64_t>(most_lines, block_lines);
    most_lines -= lines;
    if (lines == 0) break;
    in_flight.push_back(
        workers.start(Workers::Task([raw, &rules, epoch = pass.epoch] { return encode_block(*raw, rules, epoch); })));
    if (in_flight.size() >= in_flight_most) write_oldest();
  }
  while (!in_flight.empty()) write_oldest();
  return !ended;
}

}  // namespace bough
