#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/encoder.h"
#include "data/shuffle.h"
#include "data/token_cache.h"

namespace bough {

/// Some pairs of a corpus in the order of an epoch.
struct CorpusWindow {
  std::shared_ptr<const TokenCache> cache;  ///< what the references point into
  std::vector<PairRef> order;
};

/// The files of the text, and of what comes with it.
std::vector<std::string> files_of(const CorpusOptions& corpus);
/// The first of them that can be read only once: standard input, a pipe, a device; empty: none is such.
std::string find_read_once(const std::vector<std::string>& files);

/// The encoded training corpus. Files: encoded once into a token cache in tempdir (in memory with
/// shuffle-in-ram, or if they are no regular files). Standard input: one window at a time in
/// memory, one epoch. With sentencepiece-alphas each epoch has a cache of its own, made when it
/// begins, beside that of the best segmentations, which tells statistics and fingerprint. Of text that one of several
/// processes reads (rules.deal) the others get what that one has encoded.
class Corpus {
 public:
  static constexpr int64_t stream_window_lines = 65536;

  /// Opens or encodes the corpus (standard input: its first window) and logs what was found. Throws
  /// Error if it cannot be read, is empty, or has no pair within max-length.
  explicit Corpus(EncodingRules rules);

  /// Whether the text comes from standard input, in windows.
  bool is_stream() const { return is_stream_; }
  /// The end of sentence in each vocabulary.
  EndIds ends() const { return rules_.ends(); }
  /// Of all pairs; of the first window for a stream.
  const CorpusStatistics& statistics() const { return statistics_; }
  /// Whether max-length alone bounds the sentences: of a stream, and of segmentations that are drawn.
  bool has_bounded_lengths() const { return is_stream_ || rules_.samples(); }
  /// Rows of the longest sentence of a side; for a stream or sampled segmentations, of the longest
  /// that max-length allows.
  int64_t longest_source() const;
  int64_t longest_target() const;
  /// No batch of so many sentences has more rows.
  int64_t most_source_rows(int64_t sentences) const;
  int64_t most_target_rows(int64_t sentences) const;
  /// Files: identifies the corpus (and alphas). Stream: identifies the window that was read last.
  uint64_t fingerprint() const;

  /// Of a stream: the number of this pass through the text, which is its epoch.
  int64_t stream_pass() const { return rules_.stream_pass; }
  /// Reads a stream up to `window`, which is not encoded yet or is the current one.
  void seek_stream(int64_t window);
  /// A window in the order of `rules`; order is empty and cache null after the last one of the
  /// epoch. Streams go forward only; windows in between are read and dropped.
  CorpusWindow window(const OrderRules& rules, int64_t epoch, int64_t window);
  /// Makes a window() on another thread, and those after it, end with an Error instead of encoding; until
  /// allow_encoding().
  void stop_encoding() { stop_.request_stop(); }
  void allow_encoding() { stop_ = std::stop_source(); }
  /// For good, and a wait for lines of a stream, too, which ends with Interrupted. From any thread.
  void stop();

 private:
  void open_files();
  void open_epoch(int64_t epoch);
  void check_sampling() const;
  std::string cache_path(uint64_t key) const;
  void check_tempdir(const std::string& path) const;
  std::shared_ptr<const TokenCache> open_or_encode(uint64_t key, int64_t epoch);
  std::shared_ptr<const TokenCache> encode_files(const std::string& path, uint64_t key, int64_t epoch);
  bool receives() const { return rules_.deal && rules_.deal->receives(); }
  void receive_window();
  void deal_window() const;
  bool read_stream_window();
  void skip_stream_windows(int64_t windows);
  void check_statistics() const;

  EncodingRules rules_;
  bool is_stream_;
  CorpusStatistics statistics_;
  WindowOrders orders_;
  std::shared_ptr<const TokenCache> cache_;        // stream: of window stream_window_; null at its end
  std::vector<std::string> files_;                 // that text is read from, no pipes
  uint64_t text_ = 0, key_ = 0, fingerprint_ = 0;  // of files
  int64_t epoch_ = 0;                              // of cache_; 0: the best segmentations
  bool in_memory_ = false;
  std::stop_source stop_;
  std::unique_ptr<ParallelReader> stream_;
  int64_t stream_window_ = -1;
};

}  // namespace bough
