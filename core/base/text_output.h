#pragma once
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

namespace bough {

/// Nobody reads the output any more (a closed pipe). Not a problem of ours or the user's: mains end quietly.
struct OutputClosed : std::exception {
  const char* what() const noexcept override { return "output closed"; }
};

/// Where results go: a file, or standard output ("stdout", "-", ""). Every write reaches it at once, but for a file
/// named .gz, which is packed. A missing folder is made.
/// Throws Error if it cannot be opened or written (full disk), OutputClosed for a closed pipe.
class TextOutput {
 public:
  /// Opens the file. What it holds goes when the first text comes, or at close(): who fails before leaves it as it was.
  explicit TextOutput(const std::string& path);
  ~TextOutput();
  void write(std::string_view text);
  /// Throws what closing the file reports; nothing may be written after it.
  void close();
  bool is_stdout() const { return file_ == stdout; }

 private:
  [[noreturn]] void fail_writing_output();
  void begin();
  std::string path_;
  struct Packer;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> owned_;
  std::FILE* file_;
  int descriptor_ = -1;  ///< of a file before its first text
  std::unique_ptr<Packer> packer_;
};

}  // namespace bough
