#include "core/base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <tuple>

#include "core/base/error.h"
#include "core/base/io.h"

namespace bough {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 20;

std::string folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

bool names_this_file(const std::string& path, int fd) {
  struct stat by_name {
  }, by_fd{};
  return stat(path.c_str(), &by_name) == 0 && fstat(fd, &by_fd) == 0 && by_name.st_dev == by_fd.st_dev &&
         by_name.st_ino == by_fd.st_ino;
}

/// Opens a file that is ours alone, and makes it if need be; -1 and errno. In a folder that others write to, something
/// else may have been put under its name, a link to a file of somebody's or a pipe: that goes.
int open_own(const std::string& path, int access) {
  constexpr int attempts = 8;
  for (int i = 0; i < attempts; ++i) {
    const int fd = open(path.c_str(), access | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    struct stat found {};
    if (fd < 0 && errno != ELOOP && errno != ENXIO) return -1;
    if (fd >= 0 && fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_nlink <= 1) return fd;
    if (fd >= 0) close(fd);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return -1;
  }
  errno = EEXIST;
  return -1;
}

/// 0, or errno.
int write_all(int fd, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t n = ::write(fd, data, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    data += n;
    bytes -= std::size_t(n);
  }
  return 0;
}

void write_all(int fd, const char* data, std::size_t bytes, const std::string& path) {
  if (const int error = write_all(fd, data, bytes)) fail_writing(path, error);
}

void sync_folder(const std::string& folder, const std::string& path) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // a folder that may be written but not read: the rename itself is done
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  // Some network file systems cannot sync a folder and say so with EINVAL.
  if (error != 0 && error != EINVAL) fail_writing(path, error);
}

}  // namespace

void fail_writing(const std::string& path, int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      fail(
          "'{}' cannot be written: the disk (or your quota on it) is full. Free some space or "
          "choose another folder.",
          path);
    case EFBIG:
      fail(
          "'{}' cannot be written: it would be larger than the limit for a file here. Raise the "
          "limit (ulimit -f) or choose another file system.",
          path);
    case EACCES:
    case EPERM:
      fail(
          "'{}' cannot be written: no permission. Choose another folder or change its "
          "permissions.",
          path);
    case EROFS:
      fail("'{}' cannot be written: the file system is read-only. Choose another folder.", path);
    case ENOENT:
      fail(
          "'{}' cannot be written: the folder '{}' does not exist. Create it or choose another "
          "path.",
          path, folder_of(path));
    case ENOTDIR:
      fail("'{}' cannot be written: a part of '{}' is a file, not a folder. Choose another path.", path,
           folder_of(path));
    case EISDIR:
      fail("'{}' cannot be written: it is a folder. Choose a file name.", path);
    case ELOOP:
    case ENAMETOOLONG:
      fail("'{}' cannot be written: {}. Choose another name.", path, std::strerror(error));
    case EMFILE:
    case ENFILE:
      fail("'{}' cannot be written: {}. Raise the limit (ulimit -n) or give fewer files.", path, std::strerror(error));
    default:
      fail("'{}' cannot be written: {}. Check the disk or choose another folder.", path, std::strerror(error));
  }
}

void fail_reading(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      fail("'{}' does not exist. Check the path.", path);
    case EACCES:
    case EPERM:
      fail("'{}' cannot be read: no permission. Change its permissions or choose another file.", path);
    case EISDIR:
      fail("'{}' is a folder, where a file is needed. Give a file.", path);
    case ELOOP:
    case ENAMETOOLONG:
      fail("'{}' cannot be read: {}. Give another name.", path, std::strerror(error));
    case EMFILE:
    case ENFILE:
      fail("'{}' cannot be read: {}. Raise the limit (ulimit -n) or give fewer files.", path, std::strerror(error));
    default:
      fail("'{}' cannot be read: {}. Check the disk.", path, std::strerror(error));
  }
}

void make_folder_of(const std::string& path) {
  std::error_code ignored;
  std::filesystem::create_directories(folder_of(path), ignored);
}

std::string without_links(const std::string& path) {
  constexpr int most_links = 40;  // the kernel's limit
  std::string name = path;
  for (int i = 0; i <= most_links; ++i) {
    std::error_code failed;
    if (!std::filesystem::is_symlink(name, failed)) return name;
    const std::filesystem::path target = std::filesystem::read_symlink(name, failed);
    if (failed) fail_reading(path, failed.value());
    name = (std::filesystem::path(name).parent_path() / target).string();
  }
  fail_reading(path, ELOOP);
}

std::string full_name(const std::string& path) {
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(path, failed);
  if (failed) return path;
  const auto name = std::filesystem::weakly_canonical(absolute, failed);
  return failed ? path : name.string();
}

bool file_exists(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail_reading(path, errno);
  return false;
}

AtomicFile::AtomicFile(const std::string& path, Links links) : path_(path) {
  check(links != Links::followed || !is_stream(path),  // before links are: /dev/stdout's may lead to what has no name
        "'{}' cannot be replaced: it is a device or a pipe. Choose the name of a regular file.", path_);
  target_ = links == Links::followed ? without_links(path) : path;
  temporary_ = target_ + ".tmp";
  make_folder_of(target_);
  struct stat old {};
  const bool replaces = lstat(target_.c_str(), &old) == 0 && (links == Links::followed || S_ISREG(old.st_mode));
  if (replaces) {
    if (S_ISDIR(old.st_mode)) fail_writing(path_, EISDIR);
    if (access(target_.c_str(), W_OK) != 0) fail_writing(path_, errno);
  }
  lock();
  try {
    if (ftruncate(fd_, 0) != 0) fail_writing(path_, errno);
    if (replaces && fchmod(fd_, old.st_mode & 07777) != 0) fail_writing(path_, errno);
    buffer_.reserve(buffer_bytes);
  } catch (...) {
    abandon();
    throw;
  }
}

/// Opens the temporary so that nobody else writes it. One that a killed run left behind is taken
/// over; one that its writer renamed between our open and our lock is not ours, so we open again.
void AtomicFile::lock() {
  while (true) {
    fd_ = open_own(temporary_, O_WRONLY);
    if (fd_ < 0) fail_writing(path_, errno);
    // File systems without locks (ENOLCK, EOPNOTSUPP) go without this protection.
    const bool taken = flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!taken && names_this_file(temporary_, fd_)) return;
    close(fd_);
    fd_ = -1;
    check(!taken,
          "'{}' cannot be written: another process is writing it now. Stop that one or "
          "choose another name.",
          path_);
  }
}

AtomicFile::~AtomicFile() { abandon(); }

void AtomicFile::abandon() {
  if (fd_ < 0) return;
  unlink(temporary_.c_str());
  close(fd_);
  fd_ = -1;
}

void AtomicFile::flush() {
  write_all(fd_, buffer_.data(), buffer_.size(), path_);
  offset_ += buffer_.size();
  buffer_.clear();
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  const char* begin = static_cast<const char*>(data);
  if (buffer_.size() + bytes > buffer_bytes) flush();
  if (bytes > buffer_bytes) {
    write_all(fd_, begin, bytes, path_);
    offset_ += bytes;
  } else {
    buffer_.insert(buffer_.end(), begin, begin + bytes);
  }
}

void AtomicFile::seek(std::uint64_t offset) {
  flush();
  if (lseek(fd_, off_t(offset), SEEK_SET) < 0) fail_writing(path_, errno);
  offset_ = offset;
}

void AtomicFile::commit() {
  flush();
  if (fsync(fd_) != 0) fail_writing(path_, errno);
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail_writing(path_, errno);
  // The name is ours no longer: from here on nothing may be unlinked.
  const int fd = fd_;
  fd_ = -1;
  if (close(fd) != 0) fail_writing(path_, errno);
  sync_folder(folder_of(target_), path_);
}

FileLock::FileLock(const std::string& path) : path_(path) {
  make_folder_of(path);
  take();
}

/// A holder removes the file before it lets go: what we then get is the lock of a file without a name, so again.
void FileLock::take() {
  do {
    if (fd_ >= 0) close(fd_);
    fd_ = open_own(path_, O_RDWR);
    if (fd_ < 0) fail_writing(path_, errno);
    while (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      state_ = errno == EWOULDBLOCK ? State::taken : State::unsupported;
      return;
    }
  } while (!names_this_file(path_, fd_));
  state_ = State::held;
  // For people: the lock holds without it, on a full disk for instance.
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const std::string name = fmt::format("process {} on {}\n", getpid(), host);
  if (ftruncate(fd_, 0) != 0 || pwrite(fd_, name.data(), name.size(), 0) < 0) return;
}

FileLock::~FileLock() {
  if (state_ != State::taken && names_this_file(path_, fd_)) unlink(path_.c_str());
  close(fd_);
}

std::string FileLock::holder() const {
  char text[512];
  const ssize_t n = pread(fd_, text, sizeof text, 0);
  const std::string name(text, n > 0 ? std::size_t(n) : 0);
  return name.ends_with('\n') ? name.substr(0, name.size() - 1) : "another process";
}

void FileLock::wait(const std::function<void()>& between) {
  for (; state_ == State::taken; take()) {
    between();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

LineFile::LineFile(const std::string& path) {
  make_folder_of(path);
  fd_ = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_writing(path, errno);
}

LineFile::~LineFile() { close(fd_); }

int LineFile::append(const std::string& line) {
  const off_t end = lseek(fd_, 0, SEEK_END);
  const std::string text = line + '\n';
  const int error = write_all(fd_, text.data(), text.size());
  // What a full disk has taken would be glued to the next line.
  if (error != 0 && end >= 0) std::ignore = ftruncate(fd_, end);
  return error;
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

std::string read_whole_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_reading(path, errno);
  std::string content;
  std::size_t used = 0;
  ssize_t n = 1;
  while (n != 0) {
    if (content.size() - used < 4096) content.resize(std::max<std::size_t>(65536, 2 * content.size()));
    n = ::read(fd, content.data() + used, content.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      close(fd);
      fail_reading(path, error);
    }
    used += std::size_t(n);
  }
  close(fd);
  content.resize(used);
  return content;
}

std::uint64_t file_size(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) fail_reading(path, errno);
  if (S_ISDIR(found.st_mode)) fail_reading(path, EISDIR);
  check(S_ISREG(found.st_mode), "'{}' is a device or a pipe, where a file is needed. Give a file.", path);
  return std::uint64_t(found.st_size);
}

}  // namespace bough
