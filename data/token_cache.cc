#include "data/token_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/hash.h"

namespace bough {
namespace {

constexpr uint64_t magic = 0x346B6F7468677562u;  // "bughtok4" on little-endian machines

struct Header {
  uint64_t magic = 0, key = 0, file_size = 0, fingerprint = 0, table = 0, blocks = 0;
  CorpusStatistics statistics;
  uint64_t extras = 0;    ///< lists of a pair beside source and target ids: 1 alignment points + 2 weights
  uint64_t checksum = 0;  ///< of the file, this field being 0
};
static_assert(sizeof(Header) == 15 * sizeof(uint64_t), "the header has no padding, whose bytes nobody would check");

uint64_t columns_of(const Header& header) { return 2 + (header.extras & 1) + (header.extras >> 1 & 1); }

struct BlockHeader {
  int64_t first_line = 0;
  uint32_t pairs = 0, ids = 0;
};

struct TableEntry {
  uint64_t offset = 0;
  uint64_t pairs = 0;
};

/// Every part begins at a multiple of 8 bytes, so that it can be read in place.
size_t aligned(size_t bytes) { return (bytes + 7) / 8 * 8; }

int64_t longest(const CorpusStatistics& found, int side) {
  return side == 0 ? found.longest_source : found.longest_target;
}

/// Where the counts of lengths of a side begin; side 2: where the file ends.
uint64_t lengths_at(const Header& header, int side) {
  uint64_t offset = header.table + header.blocks * sizeof(TableEntry);
  for (int before = 0; before < side; ++before)
    offset += (uint64_t(longest(header.statistics, before)) + 1) * sizeof(int64_t);
  return offset;
}

/// Checksum of a part: four chains, which the processor follows side by side.
uint64_t checksum_of(const char* data, size_t bytes) {
  uint64_t chains[4] = {bytes, 1, 2, 3};
  size_t done = 0;
  for (; done + sizeof chains <= bytes; done += sizeof chains) {
    uint64_t words[4];
    std::memcpy(words, data + done, sizeof words);
    for (int i = 0; i < 4; ++i) chains[i] = mix_bits(chains[i] ^ words[i]);
  }
  return combine_hashes(combine_hashes(chains[0], chains[1]),
                        combine_hashes(combine_hashes(chains[2], chains[3]), hash_bytes({data + done, bytes - done})));
}

template <class T>
const T* at(const char* data, uint64_t offset) {
  return reinterpret_cast<const T*>(data + offset);
}

}  // namespace

void CorpusStatistics::add(const CorpusStatistics& other) {
  lines += other.lines;
  pairs += other.pairs;
  source_tokens += other.source_tokens;
  target_tokens += other.target_tokens;
  dropped += other.dropped;
  cropped += other.cropped;
  longest_source = std::max(longest_source, other.longest_source);
  longest_target = std::max(longest_target, other.longest_target);
}

void TokenBlock::add(uint32_t line, const std::vector<int32_t>& source, const std::vector<int32_t>& target,
                     const std::vector<int32_t>& points, const std::vector<int32_t>& weights) {
  line_delta.push_back(line);
  const std::vector<int32_t>* const lists[] = {&source, &target, has_alignments ? &points : &weights, &weights};
  for (uint32_t column = 0; column < columns(); ++column) {
    ids.insert(ids.end(), lists[column]->begin(), lists[column]->end());
    check(ids.size() <= UINT32_MAX,
          "corpus: {} lines from line {} hold more than 2^32 tokens. "
          "Break up the longest.",
          block_lines, first_line + 1);
    offsets.push_back(uint32_t(ids.size()));
  }
  const auto source_rows = int32_t(source.size() + 1);
  const auto target_rows = int32_t(target.size() + 1);
  ++found.pairs;
  found.source_tokens += source_rows;
  found.target_tokens += target_rows;
  found.longest_source = std::max(found.longest_source, source_rows);
  found.longest_target = std::max(found.longest_target, target_rows);
}

TokenCache::~TokenCache() {
  if (owned_.empty() && data_ != nullptr) munmap(const_cast<char*>(data_), size_);
}

std::unique_ptr<TokenCache> TokenCache::open(const std::string& path, uint64_t key) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return nullptr;
  struct stat status {};
  std::unique_ptr<TokenCache> cache(new TokenCache);
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size >= off_t(sizeof(Header))) {
    cache->size_ = size_t(status.st_size);
    void* mapped = mmap(nullptr, cache->size_, PROT_READ, MAP_SHARED, descriptor, 0);
    if (mapped != MAP_FAILED) cache->data_ = static_cast<const char*>(mapped);
  }
  close(descriptor);
  return cache->is_whole(key) ? std::move(cache) : nullptr;
}

std::unique_ptr<TokenCache> TokenCache::adopt(std::vector<char> bytes, uint64_t key) {
  std::unique_ptr<TokenCache> cache(new TokenCache);
  cache->owned_ = std::move(bytes);
  cache->data_ = cache->owned_.data();
  cache->size_ = cache->owned_.size();
  return cache->is_whole(key) ? std::move(cache) : nullptr;
}

bool TokenCache::is_whole(uint64_t key) const {
  if (data_ == nullptr || size_ < sizeof(Header)) return false;
  const auto& header = *at<Header>(data_, 0);
  return header.magic == magic && header.key == key && header.file_size == size_ && has_layout() &&
         header.checksum == checksum();
}

/// Whether all that is read in place lies where it can be read, whatever the header and the table say.
bool TokenCache::has_layout() const {
  const auto& header = *at<Header>(data_, 0);
  const auto& found = header.statistics;
  const uint64_t words = size_ / sizeof(uint64_t);
  const uint64_t columns = columns_of(header);
  if (size_ % sizeof(uint64_t) != 0 || header.extras > 3 || header.table < sizeof(Header) || header.table % 8 != 0 ||
      header.table > size_ || header.blocks > words || found.longest_source < 0 || found.longest_target < 0 ||
      lengths_at(header, 2) != size_)
    return false;
  const auto* table = at<TableEntry>(data_, header.table);
  uint64_t expected = sizeof(Header);
  for (uint64_t i = 0; i < header.blocks; ++i) {
    if (table[i].offset != expected || expected + sizeof(BlockHeader) > header.table) return false;
    const auto& block = *at<BlockHeader>(data_, expected);
    if (block.pairs != table[i].pairs || block.pairs > block_lines) return false;
    expected += sizeof(BlockHeader) + aligned(((columns + 1) * size_t{block.pairs} + 1 + block.ids) * sizeof(uint32_t));
    if (expected > header.table) return false;
    const auto* offsets = at<uint32_t>(data_, table[i].offset + sizeof(BlockHeader)) + block.pairs;
    const uint64_t lists = columns * block.pairs;
    if (!std::is_sorted(offsets, offsets + lists + 1) || offsets[lists] != block.ids) return false;
  }
  return expected == header.table;
}

/// Of the parts as the writer wrote them. Reads the whole file: an encoded corpus is trained on for days.
uint64_t TokenCache::checksum() const {
  Header header = *at<Header>(data_, 0);
  header.checksum = 0;
  const auto* table = at<TableEntry>(data_, header.table);
  uint64_t sum = 0;
  const auto add = [&](uint64_t from, uint64_t to) { sum = combine_hashes(sum, checksum_of(data_ + from, to - from)); };
  for (uint64_t i = 0; i < header.blocks; ++i)
    add(table[i].offset, i + 1 < header.blocks ? table[i + 1].offset : header.table);
  add(header.table, size_);
  return combine_hashes(sum, checksum_of(reinterpret_cast<const char*>(&header), sizeof header));
}

int64_t TokenCache::rows_of_longest(int64_t sentences, int side) const {
  const auto& header = *at<Header>(data_, 0);
  const auto* counts = at<int64_t>(data_, lengths_at(header, side));
  int64_t rows = 0;
  for (int64_t length = longest(header.statistics, side); length > 0 && sentences > 0; --length) {
    const int64_t taken = std::min(counts[length], sentences);
    rows += taken * length;
    sentences -= taken;
  }
  return rows;
}

const CorpusStatistics& TokenCache::statistics() const { return at<Header>(data_, 0)->statistics; }
uint64_t TokenCache::fingerprint() const { return at<Header>(data_, 0)->fingerprint; }
uint32_t TokenCache::blocks() const { return uint32_t(at<Header>(data_, 0)->blocks); }
uint32_t TokenCache::pairs_in(uint32_t block) const {
  return uint32_t(at<TableEntry>(data_, at<Header>(data_, 0)->table)[block].pairs);
}

SentencePair TokenCache::pair(PairRef ref) const {
  const uint64_t extras = at<Header>(data_, 0)->extras, columns = columns_of(*at<Header>(data_, 0));
  const uint64_t block = at<TableEntry>(data_, at<Header>(data_, 0)->table)[ref >> 16].offset;
  const auto& header = *at<BlockHeader>(data_, block);
  const auto* line_delta = at<uint32_t>(data_, block + sizeof(BlockHeader));
  const auto* offsets = line_delta + header.pairs;
  const auto* ids = reinterpret_cast<const int32_t*>(offsets + columns * header.pairs + 1);
  const uint64_t number = ref & 0xFFFF;
  const uint32_t* bounds = offsets + columns * number;
  SentencePair pair{
      {ids + bounds[0], ids + bounds[1]}, {ids + bounds[1], ids + bounds[2]}, header.first_line + line_delta[number]};
  if (extras & 1) pair.alignment = {ids + bounds[2], ids + bounds[3]};
  if (extras & 2) pair.weights = {ids + bounds[columns - 1], ids + bounds[columns]};
  return pair;
}

void TokenCache::will_need(uint32_t block) const {
  if (!owned_.empty()) return;
  const auto& header = *at<Header>(data_, 0);
  const auto* table = at<TableEntry>(data_, header.table);
  const uint64_t begin = table[block].offset / 4096 * 4096;
  const uint64_t end = block + 1 < header.blocks ? table[block + 1].offset : header.table;
  madvise(const_cast<char*>(data_) + begin, end - begin, MADV_WILLNEED);  // only a hint
}

struct TokenCacheWriter::Impl {
  std::string path;
  std::optional<AtomicFile> file;
  std::vector<char> memory;
  std::vector<TableEntry> table;
  std::vector<int64_t> lengths[2];  // sentences by number of rows
  Header header;
  uint64_t position = 0, checksum = 0;

  /// A part of the file, with what aligns the next one.
  void write_part(std::vector<char> part) {
    part.resize(aligned(part.size()));
    checksum = combine_hashes(checksum, checksum_of(part.data(), part.size()));
    put(part.data(), part.size());
    position += part.size();
  }
  void count(const TokenBlock& block) {
    for (size_t i = 0; i + 1 < block.offsets.size(); ++i) {
      const size_t rows = block.offsets[i + 1] - block.offsets[i] + 1, column = i % block.columns();
      if (column > 1) continue;
      auto& counts = lengths[column];
      if (counts.size() <= rows) counts.resize(rows + 1);
      ++counts[rows];
    }
  }
  void put(const char* data, size_t bytes) {
    if (file)
      file->write(data, bytes);
    else
      memory.insert(memory.end(), data, data + bytes);
  }
};

TokenCacheWriter::TokenCacheWriter(const std::string& path, uint64_t key) : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  if (!path.empty()) impl_->file.emplace(path, AtomicFile::Links::replaced);
  impl_->header.key = key;
  impl_->put(reinterpret_cast<const char*>(&impl_->header), sizeof(Header));  // until finish() writes the true one
  impl_->position = sizeof(Header);
}
TokenCacheWriter::~TokenCacheWriter() = default;

const CorpusStatistics& TokenCacheWriter::statistics() const { return impl_->header.statistics; }

void TokenCacheWriter::add(const TokenBlock& block) {
  auto& header = impl_->header;
  header.statistics.add(block.found);
  const auto pairs = uint32_t(block.line_delta.size());
  if (pairs == 0) return;
  header.extras = uint64_t(block.has_alignments) + 2 * uint64_t(block.has_weights);
  impl_->count(block);
  impl_->table.push_back({impl_->position, pairs});
  const BlockHeader block_header{block.first_line, pairs, uint32_t(block.ids.size())};
  std::vector<uint32_t> words(block.line_delta);
  words.insert(words.end(), block.offsets.begin(), block.offsets.end());
  const size_t ids_at = words.size();
  words.resize(ids_at + block.ids.size());
  if (!block.ids.empty()) std::memcpy(words.data() + ids_at, block.ids.data(), block.ids.size() * sizeof(uint32_t));
  const size_t bytes = words.size() * sizeof(uint32_t);
  header.fingerprint =
      combine_hashes(header.fingerprint, hash_bytes({reinterpret_cast<const char*>(words.data()), bytes}));
  std::vector<char> part(sizeof block_header + bytes);
  std::memcpy(part.data(), &block_header, sizeof block_header);
  std::memcpy(part.data() + sizeof block_header, words.data(), bytes);
  impl_->write_part(std::move(part));
}

std::unique_ptr<TokenCache> TokenCacheWriter::finish() {
  auto& header = impl_->header;
  header.magic = magic;
  header.table = impl_->position;
  header.blocks = impl_->table.size();
  std::vector<char> end;
  const auto append = [&end](const auto& values) {
    const auto bytes = std::as_bytes(std::span(values));
    const auto* const data = reinterpret_cast<const char*>(bytes.data());
    end.insert(end.end(), data, data + bytes.size());
  };
  append(impl_->table);
  for (auto& counts : impl_->lengths) {
    counts.resize(std::max<size_t>(counts.size(), 1));
    append(counts);
  }
  impl_->write_part(std::move(end));
  header.file_size = impl_->position;
  header.checksum = combine_hashes(impl_->checksum, checksum_of(reinterpret_cast<const char*>(&header), sizeof header));
  if (!impl_->file) {
    std::memcpy(impl_->memory.data(), &header, sizeof(Header));
    return TokenCache::adopt(std::move(impl_->memory), header.key);
  }
  impl_->file->seek(0);
  impl_->file->write(&header, sizeof(Header));
  impl_->file->commit();
  auto cache = TokenCache::open(impl_->path, header.key);
  check(cache != nullptr,
        "token cache '{}': vanished or was changed after it was written. Set tempdir to a folder of your own.",
        impl_->path);
  return cache;
}

}  // namespace bough
