#include "data/parallel_reader.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/unicode.h"

namespace bough {
namespace {

void drop_carriage_return(std::string& line) {
  if (!line.empty() && line.back() == '\r') line.pop_back();
}

}  // namespace

const std::string& file_of_side(const CorpusOptions& corpus, size_t side) {
  return corpus.train_sets[std::min(side, corpus.train_sets.size() - 1)];
}

void check_text(const std::string& line, const std::string& path, int64_t line_number) {
  const auto invalid = unicode::find_invalid_utf8(line);
  check(!invalid, "'{}': line {} is not valid UTF-8 at byte {}. Convert the file, e.g. with iconv.", path, line_number,
        invalid.value_or(0) + 1);
  check(line.find('\0') == std::string::npos,
        "'{}': line {} contains a NUL byte, must be text. Remove it, e.g. with tr -d '\\000'.", path, line_number);
}

ParallelReader::ParallelReader(const CorpusOptions& corpus) {
  const size_t files = corpus.tsv ? 1 : 2;
  check(corpus.train_sets.size() == files, "train-sets has {} files, must have {}. bough translates from one source.",
        corpus.train_sets.size(), corpus.tsv ? "1 with tsv" : "2: source, target");
  if (corpus.tsv) fields_ = corpus.tsv_fields == 0 ? 2 : size_t(corpus.tsv_fields);
  check(!corpus.tsv || fields_ >= 2, "tsv-fields is {}, must be at least 2: source and target.", fields_);
  for (const auto& path : corpus.train_sets) readers_.emplace_back(path);
}

bool ParallelReader::next(std::string& source, std::string& target) {
  if (fields_ > 0) return next_fields(source, target);
  const bool has_source = readers_[0].next(source), has_target = readers_[1].next(target);
  if (has_source != has_target) fail_lengths(has_source ? 0 : 1);
  if (!has_source) return false;
  drop_carriage_return(source);
  drop_carriage_return(target);
  return true;
}

void ParallelReader::stop() {
  for (LineReader& reader : readers_) reader.stop();
}

bool ParallelReader::next_fields(std::string& source, std::string& target) {
  if (!readers_[0].next(line_)) return false;
  drop_carriage_return(line_);
  const auto tabs = size_t(std::count(line_.begin(), line_.end(), '\t'));
  check(tabs + 1 == fields_, "'{}': line {} has {} tab-separated fields, must have {}. Correct the line or tsv-fields.",
        readers_[0].path(), readers_[0].line_number(), tabs + 1, fields_);
  const size_t tab = line_.find('\t');
  source.assign(line_, 0, tab);
  target.assign(line_, tab + 1, line_.find('\t', tab + 1) - tab - 1);
  return true;
}

void ParallelReader::fail_lengths(size_t longer) {
  while (readers_[longer].next(line_)) continue;
  fail(
      "train-sets: '{}' has {} lines but '{}' has {}, must be as many. Check that the files belong "
      "together.",
      readers_[0].path(), readers_[0].line_number(), readers_[1].path(), readers_[1].line_number());
}

}  // namespace bough
