#include "core/base/io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/interrupt.h"

namespace bough {
namespace {

constexpr size_t buffer_size = 1 << 18;

/// A file by what it is: its number on its disk, or its full name while it does not exist. Pipes and devices are none.
struct FileIdentity {
  dev_t device = 0;
  ino_t number = 0;
  std::string name;
  bool operator==(const FileIdentity&) const = default;
};

std::optional<FileIdentity> identify(const std::string& path, bool is_stream, int stream) {
  struct stat found {};
  if ((is_stream ? fstat(stream, &found) : stat(path.c_str(), &found)) == 0) {
    if (!S_ISREG(found.st_mode)) return std::nullopt;
    return FileIdentity{found.st_dev, found.st_ino, {}};
  }
  return FileIdentity{0, 0, full_name(path)};
}

}  // namespace

bool is_gzip_name(const std::string& path) { return path.size() > 3 && path.ends_with(".gz"); }

std::string content_for(const std::string& path, const std::string& text) {
  if (!is_gzip_name(path)) return text;
  check(text.size() < UINT_MAX, "'{}' cannot be packed: its text is larger than 4 GiB. Choose a name without .gz",
        path);
  constexpr int with_gzip_header = 15 + 16, memory = 8;
  z_stream stream{};
  check(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, with_gzip_header, memory, Z_DEFAULT_STRATEGY) == Z_OK,
        "'{}' cannot be packed: no memory for zlib", path);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = uInt(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = uInt(packed.size());
  const int result = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  check(result == Z_STREAM_END, "'{}' cannot be packed: zlib ended with {}. Choose a name without .gz", path, result);
  return packed;
}

void check_not_input(const std::string& output_name, const std::string& output, const std::string& input_name,
                     const std::string& input) {
  const auto written = identify(output, is_stdout(output), STDOUT_FILENO);
  check(!written || written != identify(input, is_stdin(input), STDIN_FILENO),
        "{}: '{}' is {}, too, and would be overwritten. Give another file", output_name,
        is_stdout(output) ? "standard output" : output, input_name);
}

bool is_stdin(const std::string& path) { return path == "-" || path == "stdin"; }
void check_one_stdin(const std::string& option, const std::vector<std::string>& paths, const std::string& remedy) {
  const auto is_one = [](const std::string& path) { return is_stdin(path) || path == "/dev/stdin"; };
  check(std::ranges::count_if(paths, is_one) <= 1, "{} is standard input twice, must be two inputs. {}", option,
        remedy);
}
bool is_stream(const std::string& path) {
  struct stat found {};
  return stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode);
}
bool is_stdout(const std::string& path) { return path.empty() || path == "-" || path == "stdout"; }

/// An open file descriptor, or a gzip stream on one.
struct LineReader::Source {
  int descriptor = -1;
  gzFile unpacked = nullptr;
  std::optional<Event> stop;  // of what may keep its reader waiting: standard input, pipes

  explicit Source(const std::string& path) {
    if (is_stdin(path)) {
      descriptor = STDIN_FILENO;
      stop.emplace();
      return;
    }
    descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    check(descriptor >= 0, "'{}': cannot be opened: {}; check the name and the permissions", path,
          std::strerror(errno));
    struct stat status {};
    if (fstat(descriptor, &status) == 0 && !S_ISREG(status.st_mode)) stop.emplace();
    if (is_gzip_name(path)) {
      unpacked = gzdopen(descriptor, "rb");
      if (unpacked == nullptr) close(descriptor);
      check(unpacked != nullptr && gzbuffer(unpacked, buffer_size) == 0,
            "'{}': cannot be unpacked: out of memory; free some, or unpack it with gunzip", path);
    }
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() {
    if (unpacked != nullptr) {
      gzclose_r(unpacked);
    } else if (descriptor > STDIN_FILENO) {
      close(descriptor);
    }
  }

  /// Reads at most `size` bytes; 0 at the end.
  size_t read(const std::string& path, char* to, size_t size) {
    if (unpacked != nullptr) return read_gzip(path, to, size);
    if (stop) wait_for_input();
    ssize_t got = 0;
    do {
      got = ::read(descriptor, to, size);
    } while (got < 0 && errno == EINTR);
    check(got >= 0, "'{}': cannot be read: {}; give a text file", path, std::strerror(errno));
    return size_t(got);
  }

  /// A terminal or a pipe may bring nothing for hours.
  void wait_for_input() const {
    pollfd ends[] = {
        {descriptor, POLLIN, 0}, {stop->descriptor(), POLLIN, 0}, {interruption().descriptor(), POLLIN, 0}};
    int found = 0;
    do {
      found = poll(ends, std::size(ends), -1);
      if (stop->is_raised() || interruption().is_raised()) throw Interrupted();
      // Not all that poll() reports is input: a forked child shares descriptors of events that only others raised.
    } while (found < 0 ? errno == EINTR : ends[0].revents == 0);
  }

  size_t read_gzip(const std::string& path, char* to, size_t size) {
    const int got = gzread(unpacked, to, unsigned(size));
    int status = Z_OK;
    std::string_view reason = gzerror(unpacked, &status);
    if (const size_t name = reason.find(">: "); name != reason.npos) reason.remove_prefix(name + 3);  // "<fd:5>: "
    check(got >= 0 && (status == Z_OK || status == Z_STREAM_END),
          "'{}': damaged or cut gzip data ({}), must be a whole gzip file; make it again", path,
          status == Z_ERRNO ? std::string_view(std::strerror(errno)) : reason);
    check(got > 0 || gzoffset(unpacked) != 0, "'{}': empty, must be a whole gzip file; make it again", path);
    check(got == 0 || gzdirect(unpacked) == 0, "'{}': named .gz but not gzip data; rename it or pack it with gzip",
          path);
    return size_t(got);
  }
};

LineReader::LineReader(const std::string& path)
    : path_(path), source_(std::make_unique<Source>(path)), buffer_(std::make_unique<char[]>(buffer_size)) {}
LineReader::~LineReader() = default;
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;

void LineReader::stop() {
  if (source_->stop) source_->stop->raise();
}

bool LineReader::refill() {
  begin_ = end_ = 0;  // also if read() throws
  end_ = source_->read(path_, buffer_.get(), buffer_size);
  return end_ > 0;
}

bool LineReader::next(std::string& line) {
  line.clear();
  if (begin_ == end_ && !refill()) return false;
  ++line_number_;
  do {
    const char* from = buffer_.get() + begin_;
    const size_t size = end_ - begin_;
    if (const void* newline = std::memchr(from, '\n', size)) {
      const auto length = size_t(static_cast<const char*>(newline) - from);
      line.append(from, length);
      begin_ += length + 1;
      return true;
    }
    line.append(from, size);
    begin_ = end_;
  } while (refill());
  return true;
}

}  // namespace bough
