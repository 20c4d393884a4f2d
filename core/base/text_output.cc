#include "core/base/text_output.h"

#include <cerrno>

#include "core/base/files.h"

namespace bough {

TextOutput::TextOutput(const std::string& path) : path_(path), owned_(nullptr, &std::fclose), file_(stdout) {
  if (path.empty() || path == "-" || path == "stdout") {
    path_ = "standard output";
    return;
  }
  owned_.reset(std::fopen(path.c_str(), "wb"));
  if (!owned_) fail_writing(path, errno);
  file_ = owned_.get();
}

void TextOutput::fail_writing_output() {
  if (errno == EPIPE) throw OutputClosed();
  fail_writing(path_, errno);
}

void TextOutput::write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0) fail_writing_output();
}

void TextOutput::close() {
  if (std::fflush(file_) != 0) fail_writing_output();
  if (std::FILE* const owned = owned_.release(); owned && std::fclose(owned) != 0) fail_writing_output();
  file_ = nullptr;
}

}  // namespace bough
