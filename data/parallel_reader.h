#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/io.h"
#include "data/data_options.h"

namespace bough {

/// Reads the two sides of a corpus in step: two files, or one with tab-separated fields; plain, .gz
/// or standard input; with guided-alignment the alignments beside them, in a file or a field of their own. A '\r'
/// before the line end is dropped (as Marian does); text is not checked.
class ParallelReader {
 public:
  /// Throws Error if a file cannot be opened, there are not two sides, or guided-alignment names no field.
  explicit ParallelReader(const CorpusOptions& corpus);

  /// The next pair; false at the end. Throws Error if the files have different numbers of lines
  /// (naming both) or a line has a wrong number of fields (naming it).
  bool next(std::string& source, std::string& target);
  /// The same, and the line of the alignments where there are any.
  bool next(std::string& source, std::string& target, std::string& alignment);
  /// LineReader::stop() of every side.
  void stop();
  /// Of the pair that next() returned last, from 1.
  int64_t line_number() const { return readers_.front().line_number(); }

 private:
  bool next_fields(const std::vector<std::string*>& columns);
  [[noreturn]] void fail_lengths();

  std::vector<LineReader> readers_;
  std::string line_, unused_;
  size_t fields_ = 0;           // of a tab-separated line; 0 = one file a side
  size_t alignment_field_ = 2;  // of fields or files
};

/// The name of the file that holds a side (0 source, 1 target), for messages.
const std::string& file_of_side(const CorpusOptions& corpus, size_t side);

/// The same for the alignments.
const std::string& file_of_alignments(const CorpusOptions& corpus);

/// Throws Error, naming file and line, unless `line` is valid UTF-8 without NUL bytes.
void check_text(const std::string& line, const std::string& path, int64_t line_number);

}  // namespace bough
