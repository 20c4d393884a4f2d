#pragma once
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "apps/scoring/options.h"
#include "core/base/io.h"

namespace bough {

/// Some lines of all systems and references. Text without trailing white space, valid UTF-8.
struct SegmentBlock {
  size_t index = 0;       ///< number of the block, from 0
  size_t first_line = 0;  ///< number of its first line, from 0
  size_t lines = 0;
  std::vector<std::string> systems, references;  ///< (lines, systems), (lines, references)
  size_t system_count = 0, reference_count = 0;

  const std::string& system(size_t line, size_t i) const { return systems[line * system_count + i]; }
  std::span<const std::string> references_of(size_t line) const {
    return std::span(references).subspan(line * reference_count, reference_count);
  }
};

/// Reads systems and references side by side, in constant memory. Files end lines at '\n';
/// standard input also at "\r\n" and '\r', and tabs separate its systems.
/// Throws ScoreError: 17 if a line has another number of tab-separated fields than it must, 1 if
/// the files differ in length, are empty or are not valid text.
class SegmentReader {
 public:
  explicit SegmentReader(const ScoreOptions& options);
  ~SegmentReader();

  size_t system_count() const;
  size_t reference_count() const;
  const std::vector<std::string>& system_names() const { return names_; }

  /// The next lines; false at the end, and after it threw. Thread-safe. Text is not checked yet: check_block().
  bool next(SegmentBlock& block);
  /// Throws ScoreError unless the text is valid; removes trailing white space. On any thread.
  void check_block(SegmentBlock& block) const;
  /// Reads the references to the end, for their errors alone.
  void drain_references();

 private:
  class Stream;
  void read_block(SegmentBlock& block);
  bool read_line(SegmentBlock& block);
  static void check_text(std::string& text, const Stream& stream, size_t line);
  [[noreturn]] void report_lengths();
  void name_systems(const ScoreOptions& options);

  std::string encoding_;
  std::vector<std::unique_ptr<Stream>> systems_, references_;
  std::vector<std::string> names_;
  std::mutex mutex_;
  size_t blocks_ = 0;
  size_t lines_ = 0;
  bool is_done_ = false, has_failed_ = false;
};

}  // namespace bough
