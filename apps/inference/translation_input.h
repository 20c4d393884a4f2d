#pragma once
#include <string>
#include <vector>

#include "apps/inference/translate_options.h"
#include "core/base/io.h"

namespace bough {

/// The lines that bough-translate reads: sources, with force-decode what their translations begin with. Of one file, of
/// two, or fields of one (tsv).
class TranslationInput {
 public:
  explicit TranslationInput(const TranslateOptions& options);

  /// The next line; false at the end. Throws Error if the files have different numbers of lines or a line has the wrong
  /// number of fields, naming file and line.
  bool next(std::string& source, std::string& prefix);
  /// LineReader::stop() of every file.
  void stop();
  int64_t line_number() const { return readers_.front().line_number(); }
  /// What messages call the file of a side: 0 the sources, 1 the prefixes.
  std::string name(size_t side) const;

 private:
  void split(std::string& line, std::string& prefix) const;

  std::vector<LineReader> readers_;
  bool is_tsv_;
  size_t used_fields_, fields_;  // of a tab-separated line; fields_ 0: used_fields_ or more
};

}  // namespace bough
