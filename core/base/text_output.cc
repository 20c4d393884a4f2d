#include "core/base/text_output.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "core/base/files.h"
#include "core/base/io.h"

namespace bough {

struct TextOutput::Packer {
  using Clock = std::chrono::steady_clock;
  gzFile file;
  Clock::time_point flushed = Clock::now();
  ~Packer() {
    if (file) gzclose_w(file);
  }
  /// Ended once a second at most, or less would be packed, and begun anew: a gzip file may have many members. A kill
  /// loses what came within a second of that, and what nothing followed; the file is whole unless that was a lot.
  bool write(std::string_view text) {
    if (text.empty()) return true;
    if (gzwrite(file, text.data(), unsigned(text.size())) <= 0) return false;
    if (Clock::now() - flushed < std::chrono::seconds(1)) return true;
    flushed = Clock::now();
    return gzflush(file, Z_FINISH) == Z_OK;
  }
  bool close() { return gzclose_w(std::exchange(file, nullptr)) == Z_OK; }
};

TextOutput::TextOutput(const std::string& path) : path_(path), owned_(nullptr, &std::fclose), file_(stdout) {
  if (bough::is_stdout(path)) {
    path_ = "standard output";
    return;
  }
  file_ = nullptr;
  make_folder_of(path);
  errno = 0;
  descriptor_ = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_writing_output();
}

TextOutput::~TextOutput() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void TextOutput::fail_writing_output() {
  if (errno == EPIPE) throw OutputClosed();
  fail_writing(path_, errno);
}

void TextOutput::begin() {
  if (descriptor_ < 0) return;
  if (ftruncate(descriptor_, 0) != 0 && errno != EINVAL) fail_writing_output();  // EINVAL: a device or a pipe
  const int descriptor = std::exchange(descriptor_, -1);
  if (is_gzip_name(path_)) {
    packer_.reset(new Packer{gzdopen(descriptor, "wb")});
    if (!packer_->file) fail_writing_output();
    return;
  }
  owned_.reset(fdopen(descriptor, "wb"));
  if (!owned_) fail_writing_output();
  file_ = owned_.get();
}

void TextOutput::write(std::string_view text) {
  begin();
  const bool done = packer_ ? packer_->write(text)
                            : std::fwrite(text.data(), 1, text.size(), file_) == text.size() && std::fflush(file_) == 0;
  if (!done) fail_writing_output();
}

void TextOutput::close() {
  begin();
  if (packer_) {
    if (!packer_->close()) fail_writing_output();
    return;
  }
  if (std::fflush(file_) != 0) fail_writing_output();
  if (std::FILE* const owned = owned_.release(); owned && std::fclose(owned) != 0) fail_writing_output();
  file_ = nullptr;
}

}  // namespace bough
