#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bough {

/// Reads a text file line by line in constant memory.
/// path: a file; `.gz` is unpacked; "-" or "stdin" is standard input (never unpacked). Lines end at
/// '\n' only; nothing else is stripped or checked, so '\r', NUL and invalid UTF-8 pass through, and
/// a missing final newline makes no difference. One thread at a time.
/// Throws Error if the file cannot be opened or read, or is not whole gzip data: LineReader. Waiting for
/// standard input or a pipe ends with Interrupted (core/base/interrupt.h) once there is an interruption.
class LineReader {
 public:
  explicit LineReader(const std::string& path);
  ~LineReader();
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;

  /// Replaces `line` with the next line, without its '\n'; false at the end of the file.
  bool next(std::string& line);
  /// Ends a wait for standard input or a pipe, now or later, with Interrupted. From any thread.
  void stop();
  /// Number of the line that next() returned last, from 1; 0 before the first.
  int64_t line_number() const { return line_number_; }
  const std::string& path() const { return path_; }

 private:
  struct Source;
  bool refill();

  std::string path_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<char[]> buffer_;
  size_t begin_ = 0, end_ = 0;  // the unread part of the buffer
  int64_t line_number_ = 0;
};

/// True if `path` names standard input: "-" or "stdin".
bool is_stdin(const std::string& path);
/// Throws Error where an option, or several, name standard input twice: each would get a part of it.
void check_one_stdin(const std::string& option, const std::vector<std::string>& paths, const std::string& remedy);
/// Whether this is a pipe or a device that exists.
bool is_stream(const std::string& path);
/// True if `path` names standard output: "-", "stdout" or nothing.
bool is_stdout(const std::string& path);

/// True if a file of this name is gzip data: it ends in .gz.
bool is_gzip_name(const std::string& path);

/// `text` as a file named `path` holds it: packed if its name ends in .gz.
std::string content_for(const std::string& path, const std::string& text);

/// Throws Error if writing `output` ("", "-" and "stdout": standard output) would overwrite `input` ("-" and "stdin":
/// standard input), under whatever names; before either was opened. `output_name` and `input_name` are what the user
/// calls them, an option's name for instance.
void check_not_input(const std::string& output_name, const std::string& output, const std::string& input_name,
                     const std::string& input);

}  // namespace bough
