#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bough {

/// A file that is either whole or not there: written as PATH.tmp in the same folder, then synced,
/// renamed over PATH, folder synced. Until commit() returns, PATH keeps its old content; without
/// commit() the temporary is removed. A kill leaves at most PATH.tmp, which the next write reuses.
/// A missing folder is made. An existing PATH keeps its permissions; a symbolic link keeps pointing to what is
/// replaced, or (Links::replaced, for folders that others may write to) is what is replaced, as a pipe is. Whoever put
/// a link under the name PATH.tmp has nothing overwritten. Throws Error naming PATH: no permission, full disk, PATH not
/// a regular file, another process writing it.
class AtomicFile {
 public:
  enum class Links { followed, replaced };
  /// Opens PATH.tmp.
  explicit AtomicFile(const std::string& path, Links links = Links::followed);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Goes to position(); is on the disk after commit().
  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void seek(std::uint64_t offset);  ///< next write goes here, in bytes from the start
  std::uint64_t position() const { return offset_ + buffer_.size(); }
  void commit();  ///< the file appears under its name; at most once

 private:
  void lock();
  void flush();
  void abandon();
  std::string path_;    ///< as the caller spelled it, for messages
  std::string target_;  ///< with symbolic links resolved
  std::string temporary_;
  int fd_ = -1;
  std::uint64_t offset_ = 0;  ///< where the buffer belongs in the file
  std::vector<char> buffer_;
};

/// The right to be the only one among processes that ask for the same path: an advisory lock (flock) on a file of its
/// own, which names its holder. Held until destroyed; the kernel lets go of it however a process ends, so that a
/// file which a kill left behind means nothing.
class FileLock {
 public:
  enum class State {
    held,         ///< by us
    taken,        ///< by another process, or another FileLock of this one
    unsupported,  ///< nobody can hold it: a file system without locks
  };

  /// Takes the lock if it is free. A missing folder is made, a link in the file's place goes. Throws Error naming the
  /// path when the file cannot be made.
  explicit FileLock(const std::string& path);
  /// Removes the file and lets go.
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// As it was when the lock was asked for.
  State state() const { return state_; }
  /// Who holds a lock that is taken: "process 1234 on node7".
  std::string holder() const;
  /// Returns when the lock is ours. between() is called meanwhile, and ends the wait by what it throws.
  void wait(const std::function<void()>& between);

 private:
  void take();
  std::string path_;
  int fd_ = -1;
  State state_ = State::taken;
};

/// A file, pipe or device to which lines are appended, whole or not at all.
class LineFile {
 public:
  /// A missing file and its folder are made. Throws Error naming the path.
  explicit LineFile(const std::string& path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  /// 0, or the errno value of what went wrong: the file is then as it was before.
  int append(const std::string& line);

 private:
  int fd_ = -1;
};

/// Makes the folder of a file that is to be written, and those above it. What cannot be made shows when the file is.
void make_folder_of(const std::string& path);

/// The name of the file that `path` names through symbolic links, which need not exist yet; `path` if it is no link.
/// Throws Error for links in a circle.
std::string without_links(const std::string& path);

/// The path from the root, links followed as far as there are files: one file has one such name, also while it does not
/// exist. `path` itself where that cannot be known.
std::string full_name(const std::string& path);

/// Whether something has this name, links followed. Throws Error when that cannot be known: no permission, links in a
/// circle, a name that is too long.
bool file_exists(const std::string& path);

/// Replaces a file's whole content, atomically (AtomicFile).
void write_file(const std::string& path, std::string_view content);

/// The whole content of a file, pipe or device, byte for byte. Throws Error naming the path.
std::string read_whole_file(const std::string& path);

/// Size in bytes of a regular file. Throws Error naming the path.
std::uint64_t file_size(const std::string& path);

/// Throws the sentence for a failed write to or creation of path; error is an errno value.
[[noreturn]] void fail_writing(const std::string& path, int error);

/// Throws the sentence for a failed open or read of path; error is an errno value.
[[noreturn]] void fail_reading(const std::string& path, int error);

}  // namespace bough
