#include "core/base/npz.h"

#include <fmt/ranges.h>
#include <zip.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <exception>
#include <fstream>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/half.h"
#include "core/base/npy_header.h"

namespace bough {
namespace {

static_assert(std::endian::native == std::endian::little, "npz arrays are written as they lie");

constexpr zip_uint16_t dos_date = (1 << 5) | 1;  // 1980-01-01, so that equal arrays are equal files

// ---- writing: libzip sends its bytes to an AtomicFile ----

/// Where an archive goes. No exception may cross libzip, so the first one waits here.
struct Sink {
  AtomicFile file;
  std::exception_ptr failure;
  template <class F>
  zip_int64_t guarded(F&& action) {
    try {
      return action();
    } catch (...) {
      if (!failure) failure = std::current_exception();
      return -1;
    }
  }
};

zip_int64_t seek_sink(Sink& sink, void* data, zip_uint64_t bytes) {
  const auto* args = ZIP_SOURCE_GET_ARGS(zip_source_args_seek_t, data, bytes, nullptr);
  if (args == nullptr || args->whence == SEEK_END) return -1;
  const std::uint64_t from = args->whence == SEEK_CUR ? sink.file.position() : 0;
  return sink.guarded([&] {
    sink.file.seek(from + std::uint64_t(args->offset));
    return zip_int64_t{0};
  });
}

/// libzip's view of the sink: a file that does not exist yet and can be written.
zip_int64_t sink_command(void* user, void* data, zip_uint64_t bytes, zip_source_cmd_t command) {
  Sink& sink = *static_cast<Sink*>(user);
  switch (command) {
    case ZIP_SOURCE_SUPPORTS:
      return zip_source_make_command_bitmap(
          ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
          ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_BEGIN_WRITE, ZIP_SOURCE_COMMIT_WRITE, ZIP_SOURCE_ROLLBACK_WRITE,
          ZIP_SOURCE_WRITE, ZIP_SOURCE_SEEK_WRITE, ZIP_SOURCE_TELL_WRITE, ZIP_SOURCE_REMOVE, -1);
    case ZIP_SOURCE_STAT:
      return -1;
    case ZIP_SOURCE_ERROR: {  // asked after STAT: "no such file" makes libzip start a new archive
      const int codes[2] = {sink.failure ? ZIP_ER_WRITE : ZIP_ER_READ, ENOENT};
      std::memcpy(data, codes, sizeof codes);
      return sizeof codes;
    }
    case ZIP_SOURCE_WRITE:
      return sink.guarded([&] {
        sink.file.write(data, bytes);
        return zip_int64_t(bytes);
      });
    case ZIP_SOURCE_SEEK_WRITE:
      return seek_sink(sink, data, bytes);
    case ZIP_SOURCE_TELL_WRITE:
      return zip_int64_t(sink.file.position());
    case ZIP_SOURCE_BEGIN_WRITE:
    case ZIP_SOURCE_COMMIT_WRITE:
    case ZIP_SOURCE_ROLLBACK_WRITE:
    case ZIP_SOURCE_FREE:
      return 0;
    default:
      return -1;
  }
}

/// What goes into one entry: the head, then the array's bytes, piece by piece.
class Content {
 public:
  Content(const NpzArray& array, Sink& sink)
      : array_(array), sink_(sink), head_(write_npy_header({array.type, array.shape})) {}
  std::uint64_t bytes() const { return head_.size() + array_.bytes(); }
  const NpzArray& array() const { return array_; }

  zip_int64_t command(void* data, zip_uint64_t bytes, zip_source_cmd_t command) {
    switch (command) {
      case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                              ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
      case ZIP_SOURCE_OPEN:
        return open();
      case ZIP_SOURCE_READ:
        return sink_.guarded([&] { return read(static_cast<std::byte*>(data), bytes); });
      case ZIP_SOURCE_STAT: {
        auto* stat = static_cast<zip_stat_t*>(data);
        zip_stat_init(stat);
        stat->size = this->bytes();
        stat->valid = ZIP_STAT_SIZE;
        return sizeof *stat;
      }
      case ZIP_SOURCE_ERROR: {
        const int codes[2] = {ZIP_ER_READ, 0};
        std::memcpy(data, codes, sizeof codes);
        return sizeof codes;
      }
      default:
        return 0;
    }
  }

 private:
  zip_int64_t open() {
    left_ = std::as_bytes(std::span(head_));
    given_ = next_piece_ = 0;
    return 0;
  }
  zip_int64_t read(std::byte* out, std::uint64_t bytes) {
    std::uint64_t done = 0;
    while (done < bytes && (!left_.empty() || given_ < array_.bytes())) {
      if (left_.empty()) left_ = next_piece();
      const std::size_t n = std::min<std::uint64_t>(bytes - done, left_.size());
      std::memcpy(out + done, left_.data(), n);
      left_ = left_.subspan(n);
      done += n;
    }
    return zip_int64_t(done);
  }
  std::span<const std::byte> next_piece() {
    const auto piece = array_.piece && !array_.data
                           ? array_.piece(next_piece_++)
                           : std::span(static_cast<const std::byte*>(array_.data), array_.bytes());
    given_ += piece.size();
    check(!piece.empty() && given_ <= array_.bytes(), "npz: array '{}' got {} bytes in pieces, must get {}",
          array_.name, given_, array_.bytes());
    return piece;
  }

  const NpzArray& array_;
  Sink& sink_;
  std::string head_;
  std::span<const std::byte> left_;
  std::uint64_t given_ = 0;
  std::size_t next_piece_ = 0;
};

zip_int64_t content_command(void* user, void* data, zip_uint64_t bytes, zip_source_cmd_t command) {
  return static_cast<Content*>(user)->command(data, bytes, command);
}

void add_array(zip_t* archive, Content& content) {
  const std::string& name = content.array().name;
  zip_source_t* source = zip_source_function(archive, content_command, &content);
  const auto index = source ? zip_file_add(archive, (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8) : -1;
  if (index < 0) {
    zip_source_free(source);
    fail("npz: array '{}' cannot be added: {}", name, zip_strerror(archive));
  }
  const auto entry = zip_uint64_t(index);
  zip_set_file_compression(archive, entry, ZIP_CM_STORE, 0);
  zip_file_set_dostime(archive, entry, 0, dos_date, 0);
}

void check_names(const std::string& path, std::span<const NpzArray> arrays) {
  check(!arrays.empty(), "npz: '{}' has no arrays to write; give at least one.", path);
  std::unordered_set<std::string> seen;
  for (const auto& array : arrays) {
    check(!array.name.empty(), "npz: an array for '{}' has no name. Name it.", path);
    check(seen.insert(array.name).second,
          "npz: '{}' would hold two arrays named '{}'; names must "
          "be unique.",
          path, array.name);
  }
}

}  // namespace

void write_npz(const std::string& path, std::span<const NpzArray> arrays) {
  check_names(path, arrays);
  Sink sink{AtomicFile(path), nullptr};
  std::vector<Content> contents;
  contents.reserve(arrays.size());
  for (const auto& array : arrays) contents.emplace_back(array, sink);

  zip_error_t error{};
  zip_source_t* source = zip_source_function_create(sink_command, &sink, &error);
  check(source != nullptr, "'{}' cannot be written: {}.", path, zip_error_strerror(&error));
  zip_t* archive = zip_open_from_source(source, ZIP_CREATE, &error);
  if (archive == nullptr) {
    zip_source_free(source);
    fail("'{}' cannot be written: {}.", path, zip_error_strerror(&error));
  }
  try {
    for (Content& content : contents) add_array(archive, content);
    if (zip_close(archive) != 0) {
      if (sink.failure) std::rethrow_exception(sink.failure);
      fail("'{}' cannot be written: {}.", path, zip_strerror(archive));
    }
  } catch (...) {
    zip_discard(archive);
    throw;
  }
  sink.file.commit();
}

// ---- reading ----

struct Discard {
  void operator()(zip_t* zip) const { zip_discard(zip); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

struct NpzReader::Archive {
  std::string path;
  std::unique_ptr<zip_t, Discard> zip;
  std::vector<std::string> names;
  std::unordered_map<std::string, zip_uint64_t> index;

  explicit Archive(const std::string& file) : path(file) {
    open();
    list();
  }
  void open();
  void list();
  zip_uint64_t find(const std::string& name) const;
};

namespace {

[[noreturn]] void fail_damaged(const std::string& path, const std::string& name, const std::string& what) {
  fail("'{}' is damaged: array '{}' {}. Restore the file from a copy or write it again.", path, name, what);
}

/// One array's npy file, opened at its first byte.
class Entry {
 public:
  Entry(zip_t* zip, zip_uint64_t index, const std::string& path, const std::string& name)
      : path_(path), name_(name), file_(zip_fopen_index(zip, index, 0)) {
    zip_stat_t stat{};
    if (!file_ || zip_stat_index(zip, index, 0, &stat) != 0)
      fail_damaged(path, name, fmt::format("cannot be opened ({})", zip_strerror(zip)));
    size_ = stat.size;
    constexpr std::uint64_t most_packed = 1032;  // deflate makes no more bytes of one
    if (stat.size / most_packed > stat.comp_size)
      fail_damaged(path, name, fmt::format("would be {} bytes, unpacked from {}", stat.size, stat.comp_size));
    read_header();
  }
  const NpzHeader& header() const { return header_; }

  /// Reads on to exactly `bytes` more bytes.
  void read(void* dst, std::size_t bytes) {
    char* begin = static_cast<char*>(dst);
    while (bytes > 0) {
      const auto n = zip_fread(file_.get(), begin, bytes);
      if (n < 0) fail_read();
      if (n == 0) fail_damaged(path_, name_, "ends too early");
      begin += n;
      bytes -= std::size_t(n);
    }
  }
  /// At the end of the data: libzip compares the checksum when it is asked for one byte more.
  void expect_end() {
    char extra;
    const auto n = zip_fread(file_.get(), &extra, 1);
    if (n < 0) fail_read();
    if (n > 0) fail_damaged(path_, name_, "is longer than its header says");
  }

 private:
  [[noreturn]] void fail_read() {
    zip_error_t* error = zip_file_get_error(file_.get());
    if (zip_error_code_zip(error) == ZIP_ER_CRC)
      fail_damaged(path_, name_, "does not have the checksum that was saved with it");
    fail_damaged(path_, name_, fmt::format("cannot be read ({})", zip_error_strerror(error)));
  }
  void read_header();

  const std::string& path_;
  const std::string& name_;
  std::unique_ptr<zip_file_t, Discard> file_;
  std::uint64_t size_ = 0;
  NpzHeader header_;
};

void Entry::read_header() {
  const std::string who = fmt::format("'{}': array '{}'", path_, name_);
  unsigned char start[npy_start_bytes];
  check(size_ >= sizeof start,
        "{} is not in NumPy's npy format. Give a model or array file "
        "written as npz.",
        who);
  read(start, sizeof start);
  const NpyStart layout = parse_npy_start(start, who);
  std::string text(layout.header_bytes, '\0');
  if (layout.data_offset() > size_) fail_damaged(path_, name_, "ends inside its npy header");
  // Of a version 1 header the first two bytes have been read already.
  const std::size_t have = sizeof start - layout.header_offset;
  std::memcpy(text.data(), start + layout.header_offset, std::min(have, text.size()));
  if (text.size() > have) read(text.data() + have, text.size() - have);
  header_ = parse_npy_header(text, who);
  if (layout.data_offset() + header_.bytes() != size_)
    fail_damaged(path_, name_,
                 fmt::format("has {} bytes of data where its shape ({}) of {} needs {}", size_ - layout.data_offset(),
                             fmt::join(header_.shape, ", "), name_of(header_.type), header_.bytes()));
}

}  // namespace

void NpzReader::Archive::open() {
  const auto bytes = file_size(path);
  check(bytes > 0, "'{}' is empty, where an npz file is needed. Restore it from a copy.", path);
  int code = 0;
  errno = 0;
  zip.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (zip) return;
  if ((code == ZIP_ER_OPEN || code == ZIP_ER_READ) && errno != 0) fail_reading(path, errno);
  char magic[4] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof magic);
  check(std::memcmp(magic, "PK\3\4", sizeof magic) != 0,
        "'{}' is truncated or damaged: it begins as an npz file but its list of arrays is missing. "
        "Restore it from a copy or write it again.",
        path);
  fail("'{}' is not an npz file. Give a model or array file written by bough, Marian or NumPy.", path);
}

void NpzReader::Archive::list() {
  const auto count = zip_uint64_t(zip_get_num_entries(zip.get(), 0));
  for (zip_uint64_t i = 0; i < count; ++i) {
    const char* raw = zip_get_name(zip.get(), i, ZIP_FL_ENC_RAW);
    std::string name = raw ? raw : "";
    check(name.size() > 4 && name.ends_with(".npy"),
          "'{}' is a zip archive but not an npz file: it holds '{}', where only arrays (.npy) "
          "belong. Give a model or array file.",
          path, name);
    name.resize(name.size() - 4);
    check(index.emplace(name, i).second, "'{}' holds two arrays named '{}'. Write it again.", path, name);
    names.push_back(std::move(name));
  }
}

zip_uint64_t NpzReader::Archive::find(const std::string& name) const {
  const auto found = index.find(name);
  check(found != index.end(),
        "'{}' has no array '{}'. Check that it is the right file ({} arrays, "
        "the first is '{}').",
        path, name, names.size(), names.empty() ? "" : names.front());
  return found->second;
}

NpzReader::NpzReader(const std::string& path) : archive_(std::make_unique<Archive>(path)) {}
NpzReader::~NpzReader() = default;
NpzReader::NpzReader(NpzReader&&) noexcept = default;
NpzReader& NpzReader::operator=(NpzReader&&) noexcept = default;

const std::string& NpzReader::path() const { return archive_->path; }
const std::vector<std::string>& NpzReader::names() const { return archive_->names; }
bool NpzReader::contains(const std::string& name) const { return archive_->index.count(name) == 1; }

NpzHeader NpzReader::header(const std::string& name) const {
  return Entry(archive_->zip.get(), archive_->find(name), archive_->path, name).header();
}

struct NpzReader::Stream::State {
  std::string name;
  Entry entry;
  State(const Archive& archive, const std::string& array)
      : name(array), entry(archive.zip.get(), archive.find(name), archive.path, name) {}
};

NpzReader::Stream::Stream(const NpzReader& file, const std::string& name)
    : state_(std::make_unique<State>(*file.archive_, name)) {}
NpzReader::Stream::~Stream() = default;
const NpzHeader& NpzReader::Stream::header() const { return state_->entry.header(); }
void NpzReader::Stream::read(void* dst, std::size_t bytes) { state_->entry.read(dst, bytes); }
void NpzReader::Stream::finish() { state_->entry.expect_end(); }

void NpzReader::read(const std::string& name, void* dst) const {
  Stream stream(*this, name);
  stream.read(dst, stream.header().bytes());
  stream.finish();
}

void NpzReader::expect_type(const std::string& name, const NpzHeader& header, NpzType type) const {
  check(header.type == type, "'{}': array '{}' is {}, must be {}. Give a file of the right kind.", path(), name,
        name_of(header.type), name_of(type));
}

void NpzReader::read_floats(const std::string& name, std::vector<float>& values) const {
  const NpzHeader found = header(name);
  if (found.type == NpzType::f16) {
    std::vector<std::uint16_t> halves(std::size_t(found.elements()));
    read(name, halves.data());
    values.resize(halves.size());
    std::ranges::transform(halves, values.begin(), from_half);
  } else if (found.type == NpzType::f64) {
    const std::vector<double> wide = read_f64(name);
    values.assign(wide.begin(), wide.end());
  } else {
    expect_type(name, found, NpzType::f32);
    values.resize(std::size_t(found.elements()));
    read(name, values.data());
  }
}

ArrayDescription NpzReader::describe(const std::string& name) const {
  const auto [type, shape] = header(name);
  return {shape, name_of(type), type == NpzType::f32 || type == NpzType::f64 || type == NpzType::f16};
}

std::string NpzReader::read_text(const std::string& name) const {
  const NpzHeader found = header(name);
  check(found.type == NpzType::i8 || found.type == NpzType::u8,
        "'{}': array '{}' is {}, must be i8 (text). Give a file of the right kind.", path(), name, name_of(found.type));
  constexpr std::size_t most_bytes = std::size_t{4} << 20;
  check(found.bytes() <= most_bytes, "'{}': array '{}' has {} MiB of text, must be at most {}. Get the file anew.",
        path(), name, found.bytes() >> 20, most_bytes >> 20);
  std::string text(found.bytes(), '\0');
  read(name, text.data());
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

}  // namespace bough
