#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/io.h"
#include "data/data_options.h"

namespace bough {

/// Reads the two sides of a corpus in step: two files, or one with tab-separated fields, of which the first two are
/// used; plain, .gz or standard input. A '\r' before the line end is dropped (as Marian does); text is not checked.
class ParallelReader {
 public:
  /// Throws Error if a file cannot be opened or there are not two sides.
  explicit ParallelReader(const CorpusOptions& corpus);

  /// The next pair; false at the end. Throws Error if the files have different numbers of lines
  /// (naming both) or a line has a wrong number of fields (naming it).
  bool next(std::string& source, std::string& target);
  /// LineReader::stop() of every side.
  void stop();
  /// Of the pair that next() returned last, from 1.
  int64_t line_number() const { return readers_.front().line_number(); }

 private:
  bool next_fields(std::string& source, std::string& target);
  [[noreturn]] void fail_lengths(size_t longer);

  std::vector<LineReader> readers_;
  std::string line_;
  size_t fields_ = 0;  // of a tab-separated line; 0 = one file a side
};

/// The name of the file that holds a side (0 source, 1 target), for messages.
const std::string& file_of_side(const CorpusOptions& corpus, size_t side);

/// Throws Error, naming file and line, unless `line` is valid UTF-8 without NUL bytes.
void check_text(const std::string& line, const std::string& path, int64_t line_number);

}  // namespace bough
