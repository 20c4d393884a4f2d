#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/io.h"
#include "data/data_options.h"

namespace bough {

/// A pair as it is read.
struct RawPair {
  std::string source, target;
  std::string alignment, weights;  ///< where there are any
};

/// Reads the two sides of a corpus in step: two files, or one with tab-separated fields; plain, .gz
/// or standard input; with guided-alignment and data-weighting what these name beside them, in files or fields of their
/// own. A '\r' before the line end is dropped (as Marian does); text is not checked.
class ParallelReader {
 public:
  /// Throws Error if a file cannot be opened, there are not two sides, or one of those options names no field.
  explicit ParallelReader(const CorpusOptions& corpus);

  /// The next pair; false at the end. Throws Error if the files have different numbers of lines
  /// (naming both) or a line has a wrong number of fields (naming it).
  bool next(RawPair& pair);
  /// The same, of which the text alone is wanted.
  bool next(std::string& source, std::string& target);
  /// LineReader::stop() of every side.
  void stop();
  /// Of the pair that next() returned last, from 1.
  int64_t line_number() const { return readers_.front().line_number(); }

 private:
  bool next_fields(RawPair& pair);
  [[noreturn]] void fail_lengths();

  std::vector<LineReader> readers_;
  std::vector<std::string RawPair::*> columns_;  // what each file holds, or each field
  std::vector<const char*> options_;             // that name the files
  std::string line_;
  RawPair pair_;
  size_t fields_ = 0;  // of a tab-separated line; 0 = one file a column
};

/// The name of the file that holds a side (0 source, 1 target), for messages.
const std::string& file_of_side(const CorpusOptions& corpus, size_t side);

/// The same for the alignments and the weights.
const std::string& file_of_alignments(const CorpusOptions& corpus);
const std::string& file_of_weights(const CorpusOptions& corpus);

/// Throws Error, naming file and line, unless `line` is valid UTF-8 without NUL bytes.
void check_text(const std::string& line, const std::string& path, int64_t line_number);

}  // namespace bough
