#include "apps/scoring/input.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/unicode.h"

namespace bough {
namespace {

constexpr int bad_input = 1, bad_field_count = 17;

constexpr size_t lines_at_once = 512;
constexpr size_t bytes_at_once = 1 << 20;

bool is_utf8(std::string encoding) {
  std::erase_if(encoding, [](char c) { return c == '-' || c == '_'; });
  for (char& c : encoding)
    if (c >= 'A' && c <= 'Z') c = char(c | 0x20);
  return encoding == "utf8";
}

size_t count_fields(std::string_view line) { return size_t(std::ranges::count(line, '\t')) + 1; }

}  // namespace

/// One file or standard input: lines of a fixed number of tab-separated fields. One field means
/// the whole line, tabs included.
class SegmentReader::Stream {
 public:
  Stream(const std::string& path, std::string encoding, size_t fields)
      : reader_(path), encoding_(std::move(encoding)), fields_(fields) {}

  size_t fields() const { return fields_; }
  std::string place() const { return fmt::format("'{}' line {}", reader_.path(), line_number_); }
  int64_t line_number() const { return line_number_; }
  const std::string& path() const { return reader_.path(); }

  /// Standard input: learns the number of fields from the first line, which stays to be read.
  void look_ahead() {
    splits_at_returns_ = true;
    std::string line;
    if (!next_raw(line)) return;
    const auto stripped = unicode::rstrip_utf8(line);
    fields_ = count_fields(stripped);
    pending_.push_front(line);
    --line_number_;
  }

  /// Appends the fields of the next line; false at the end.
  bool next(std::vector<std::string>& fields) {
    if (!next_raw(line_)) return false;
    if (fields_ == 1 && !splits_at_returns_) {
      fields.push_back(line_);
      return true;
    }
    std::string_view rest = unicode::rstrip_utf8(line_);
    if (const size_t found = count_fields(rest); found != fields_)
      throw ScoreError(bad_field_count,
                       fmt::format("{}: {} tab-separated fields, must be {}. Correct the file{}.", place(), found,
                                   fields_, splits_at_returns_ ? "" : " or --num-refs"));
    for (size_t i = 0; i < fields_; ++i) {
      const size_t tab = std::min(rest.find('\t'), rest.size());
      fields.emplace_back(rest.substr(0, tab));
      rest.remove_prefix(std::min(rest.size(), tab + 1));
    }
    return true;
  }

  void drain() {
    for (std::vector<std::string> fields; next(fields); fields.clear()) {
    }
  }

 private:
  bool next_raw(std::string& line) {
    if (!pending_.empty()) {
      line = std::move(pending_.front());
      pending_.pop_front();
    } else {
      if (!reader_.next(line)) return false;
      if (!is_utf8(encoding_)) convert(line);
      if (splits_at_returns_) split_at_returns(line);
    }
    ++line_number_;
    return true;
  }

  void convert(std::string& line) {
    auto converted = unicode::to_utf8(line, encoding_);
    if (!converted)
      throw ScoreError(bad_input, fmt::format("'{}' line {}: not valid {}. Give the encoding of "
                                              "the file with -e.",
                                              path(), reader_.line_number(), encoding_));
    line = std::move(*converted);
  }

  /// "\r\n" ends one line, '\r' elsewhere too: keeps the first piece, the others are pending.
  void split_at_returns(std::string& line) {
    if (line.ends_with('\r')) line.pop_back();
    size_t at = line.find('\r');
    if (at == line.npos) return;
    std::string first = line.substr(0, at);
    while (at != line.npos) {
      const size_t end = line.find('\r', at + 1);
      pending_.push_back(line.substr(at + 1, end == line.npos ? end : end - at - 1));
      at = end;
    }
    line = std::move(first);
  }

  LineReader reader_;
  std::string encoding_, line_;
  size_t fields_;
  bool splits_at_returns_ = false;
  std::deque<std::string> pending_;
  int64_t line_number_ = 0;
};

SegmentReader::SegmentReader(const ScoreOptions& options) : encoding_(options.encoding) {
  const bool by_tabs = options.references.size() == 1;
  const int fields = by_tabs ? options.reference_fields : 1;
  for (const std::string& path : options.references)
    references_.push_back(std::make_unique<Stream>(path, encoding_, size_t(std::max(0, fields))));
  if (!options.reads_stdin) {
    for (const std::string& path : options.inputs) systems_.push_back(std::make_unique<Stream>(path, encoding_, 1));
  } else {
    systems_.push_back(std::make_unique<Stream>("stdin", encoding_, 1));
    systems_.back()->look_ahead();
  }
  name_systems(options);
}

SegmentReader::~SegmentReader() = default;

void SegmentReader::name_systems(const ScoreOptions& options) {
  if (options.reads_stdin) {
    const bool is_paired = options.paired() != PairedTest::none;
    for (size_t i = 0; i < system_count(); ++i)
      names_.push_back(is_paired && i == 0 ? "Baseline" : fmt::format("System {}", is_paired ? i : i + 1));
    return;
  }
  for (const std::string& path : options.inputs) {
    if (std::ranges::find(names_, path) != names_.end())
      throw ScoreError(bad_input, fmt::format("--input: '{}' named twice, must be once. Give each "
                                              "system its own file.",
                                              path));
    names_.push_back(path);
  }
}

size_t SegmentReader::system_count() const {
  size_t count = 0;
  for (const auto& stream : systems_) count += stream->fields();
  return count;
}

size_t SegmentReader::reference_count() const {
  size_t count = 0;
  for (const auto& stream : references_) count += stream->fields();
  return count;
}

bool SegmentReader::read_line(SegmentBlock& block) {
  size_t ended = 0;
  for (const auto& stream : references_) ended += stream->next(block.references) ? 0 : 1;
  for (const auto& stream : systems_) ended += stream->next(block.systems) ? 0 : 1;
  if (ended > 0 && ended < references_.size() + systems_.size()) report_lengths();
  return ended == 0;
}

void SegmentReader::report_lengths() {
  // A wrong number of fields further down is the graver error (exit code 17).
  for (const auto& stream : references_) stream->drain();
  for (const auto& stream : systems_) stream->drain();
  std::string lengths;
  for (const auto* streams : {&references_, &systems_})
    for (const auto& stream : *streams)
      lengths += fmt::format("{}'{}' {}", lengths.empty() ? "" : ", ", stream->path(), stream->line_number());
  throw ScoreError(bad_input, fmt::format("bough-score: systems and references differ in lines "
                                          "({}), must be as many. Check the files.",
                                          lengths));
}

bool SegmentReader::next(SegmentBlock& block) {
  const std::lock_guard lock(mutex_);
  block.systems.clear();
  block.references.clear();
  block.system_count = system_count();
  block.reference_count = reference_count();
  block.lines = 0;
  block.first_line = lines_;
  if (has_failed_) return false;
  try {
    read_block(block);
  } catch (...) {
    has_failed_ = true;  // lines of references and systems no longer belong together
    throw;
  }
  lines_ += block.lines;
  block.index = blocks_++;
  return block.lines > 0;
}

void SegmentReader::read_block(SegmentBlock& block) {
  size_t bytes = 0;
  while (!is_done_ && block.lines < lines_at_once && bytes < bytes_at_once) {
    if (!read_line(block)) {
      is_done_ = true;
      break;
    }
    ++block.lines;
    for (size_t i = 1; i <= block.system_count; ++i) bytes += block.systems[block.systems.size() - i].size();
  }
  if (is_done_ && lines_ == 0 && block.lines == 0)
    throw ScoreError(bad_input, "bough-score: the files are empty, must have one segment a line. Check them.");
}

void SegmentReader::check_block(SegmentBlock& block) const {
  const auto check_columns = [&](std::vector<std::string>& texts, const auto& streams, size_t columns) {
    size_t column = 0;
    for (const auto& stream : streams)
      for (size_t field = 0; field < stream->fields(); ++field, ++column)
        for (size_t line = 0; line < block.lines; ++line)
          check_text(texts[line * columns + column], *stream, block.first_line + line + 1);
  };
  check_columns(block.references, references_, block.reference_count);
  check_columns(block.systems, systems_, block.system_count);
}

void SegmentReader::check_text(std::string& text, const Stream& stream, size_t line) {
  if (const auto bad = unicode::find_invalid_utf8(text))
    throw ScoreError(bad_input, fmt::format("'{}' line {}: byte {:#04x} at position {} is not valid UTF-8. "
                                            "Convert the file, or give its encoding with -e.",
                                            stream.path(), line, uint8_t(text[*bad]), *bad + 1));
  // Of lines with tabs only the end was stripped, when they were split.
  if (stream.fields() == 1) text.resize(unicode::rstrip_utf8(text).size());
}

void SegmentReader::drain_references() {
  for (const auto& stream : references_) stream->drain();
}

}  // namespace bough
