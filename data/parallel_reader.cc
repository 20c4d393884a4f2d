#include "data/parallel_reader.h"

#include <algorithm>
#include <utility>

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

const std::string& file_of_alignments(const CorpusOptions& corpus) {
  return corpus.tsv ? corpus.train_sets.front() : corpus.guided_alignment;
}

const std::string& file_of_weights(const CorpusOptions& corpus) {
  return corpus.tsv ? corpus.train_sets.front() : corpus.data_weighting;
}

void check_text(const std::string& line, const std::string& path, int64_t line_number) {
  const auto invalid = unicode::find_invalid_utf8(line);
  check(!invalid, "'{}': line {} is not valid UTF-8 at byte {}. Convert the file, e.g. with iconv.", path, line_number,
        invalid.value_or(0) + 1);
  check(line.find('\0') == std::string::npos,
        "'{}': line {} contains a NUL byte, must be text. Remove it, e.g. with tr -d '\\000'.", path, line_number);
}

/// What each field of a tab-separated line holds.
static std::vector<std::string RawPair::*> columns_of_fields(const CorpusOptions& corpus) {
  std::vector<std::string RawPair::*> columns(corpus.fields());
  const auto [source, target] = corpus.text_fields();
  columns[source] = &RawPair::source;
  columns[target] = &RawPair::target;
  if (corpus.has_alignments()) columns[corpus.alignment_field()] = &RawPair::alignment;
  if (corpus.has_weights()) columns[corpus.weight_field()] = &RawPair::weights;
  return columns;
}

ParallelReader::ParallelReader(const CorpusOptions& corpus) {
  const size_t files = corpus.tsv ? 1 : 2, fields = corpus.fields();
  check(corpus.train_sets.size() == files, "train-sets has {} files, must have {}. bough translates from one source.",
        corpus.train_sets.size(), corpus.tsv ? "1 with tsv" : "2: source, target");
  if (corpus.tsv) fields_ = corpus.tsv_fields == 0 ? fields : size_t(corpus.tsv_fields);
  check(!corpus.tsv || fields_ >= fields, "tsv-fields is {}, must be at least {}.", fields_, corpus.text_of_fields());
  for (const auto& path : corpus.train_sets) readers_.emplace_back(path);
  if (corpus.tsv) {
    columns_ = columns_of_fields(corpus);
    return;
  }
  columns_ = {&RawPair::source, &RawPair::target};
  options_ = {"train-sets", "train-sets"};
  const auto add = [&](const char* option, const std::string& path, std::string RawPair::*column) {
    readers_.emplace_back(path);
    options_.push_back(option);
    columns_.push_back(column);
  };
  if (corpus.has_alignments()) add("guided-alignment", corpus.guided_alignment, &RawPair::alignment);
  if (corpus.has_weights()) add("data-weighting", corpus.data_weighting, &RawPair::weights);
}

bool ParallelReader::next(RawPair& pair) {
  if (fields_ > 0) return next_fields(pair);
  size_t ended = 0;
  for (size_t i = 0; i < readers_.size(); ++i) {
    std::string& line = pair.*columns_[i];
    if (!readers_[i].next(line)) ++ended;
    drop_carriage_return(line);
  }
  if (ended != 0 && ended != readers_.size()) fail_lengths();
  return ended == 0;
}

bool ParallelReader::next(std::string& source, std::string& target) {
  if (!next(pair_)) return false;
  std::swap(source, pair_.source);
  std::swap(target, pair_.target);
  return true;
}

void ParallelReader::stop() {
  for (LineReader& reader : readers_) reader.stop();
}

bool ParallelReader::next_fields(RawPair& pair) {
  if (!readers_[0].next(line_)) return false;
  drop_carriage_return(line_);
  const auto tabs = size_t(std::count(line_.begin(), line_.end(), '\t'));
  check(tabs + 1 == fields_,
        "'{}': line {} has {} tab-separated fields, must have {}. Correct the line, or cut other columns away.",
        readers_[0].path(), readers_[0].line_number(), tabs + 1, fields_);
  for (size_t field = 0, begin = 0; field < fields_; ++field) {
    const size_t end = std::min(line_.find('\t', begin), line_.size());
    if (field < columns_.size()) (pair.*columns_[field]).assign(line_, begin, end - begin);
    begin = end + 1;
  }
  return true;
}

void ParallelReader::fail_lengths() {
  for (LineReader& reader : readers_)
    while (reader.next(line_)) continue;
  const LineReader& first = readers_[0];
  size_t i = 1;
  while (i < readers_.size() && readers_[i].line_number() == first.line_number()) ++i;
  check(
      i < readers_.size(),
      "train-sets: one of '{}' and the files beside it ended before the others, and has grown since. Start again when "
      "it is whole.",
      first.path());
  fail("{}: '{}' has {} lines but '{}' has {}, must be as many. Check that the files belong together.", options_[i],
       first.path(), first.line_number(), readers_[i].path(), readers_[i].line_number());
}

}  // namespace bough
