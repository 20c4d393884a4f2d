#include <zlib.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <vector>

#include "apps/inference/model_file.h"
#include "apps/training/checkpoint.h"
#include "core/base/marian_binary.h"
#include "core/base/npy_header.h"
#include "core/base/npz.h"
#include "core/cpu/factory.h"
#include "data/token_cache.h"
#include "test/fuzz/row.h"

using namespace bough;

namespace {

uint32_t word_at(std::string_view bytes, size_t at) {
  uint32_t word = 0;
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

/// Gives every stored entry of a zip the checksum of its bytes, so that a mutation does not end there.
std::string with_checksums(std::string zip) {
  for (size_t at = zip.find("PK\1\2"); at != zip.npos; at = zip.find("PK\1\2", at + 4)) {
    if (at + 46 > zip.size()) break;
    const size_t bytes = word_at(zip, at + 20), local = word_at(zip, at + 42);
    if (local + 30 > zip.size()) continue;
    const uint32_t lengths = word_at(zip, local + 26);
    const size_t begin = local + 30 + (lengths & 0xFFFF) + (lengths >> 16);
    if (begin > zip.size() || bytes > zip.size() - begin) continue;
    const auto sum = uint32_t(crc32(0, reinterpret_cast<const Bytef*>(zip.data() + begin), uInt(bytes)));
    std::memcpy(zip.data() + at + 16, &sum, sizeof sum);
    std::memcpy(zip.data() + local + 14, &sum, sizeof sum);
  }
  return zip;
}

void mend(const std::string& path, std::string_view bytes) {
  const std::string whole = with_checksums(std::string(bytes));
  std::ofstream(path, std::ios::binary).write(whole.data(), std::streamsize(whole.size()));
}

void read_npz(const std::string& path, std::string_view) {
  const NpzReader file(path);
  for (const std::string& name : file.names()) {
    std::vector<char> data(file.header(name).bytes());
    file.read(name, data.data());
  }
}

void read_marian_binary(const std::string& path, std::string_view) {
  const MarianBinary file(path);
  for (const std::string& name : file.names()) {
    const ArrayDescription array = file.describe(name);
    if (array.is_real)
      file.read_floats(name);
    else if (array.type == "i8")
      file.read_text(name);
  }
}

void read_npy_header(const std::string&, std::string_view bytes) {
  if (bytes.size() < npy_start_bytes) return;
  const NpyStart start = parse_npy_start(reinterpret_cast<const unsigned char*>(bytes.data()), "array");
  const NpzHeader header = parse_npy_header(bytes.substr(std::min(start.header_offset, bytes.size())), "array");
  require(header.bytes() <= size_t{1} << 62);
  const std::string written = write_npy_header(header);
  require(parse_npy_header(std::string_view(written).substr(10), "array").shape == header.shape);
}

void read_model(const std::string& path, std::string_view bytes) {
  static const auto backend = make_cpu_backend(1);
  mend(path, bytes);
  load_model(path, *backend);
}

/// A run of the model that the seeds are of, which goes on with a file.
struct Run {
  std::unique_ptr<Backend> backend = make_cpu_backend(1);
  SavingOptions saving;
  std::unique_ptr<TrainingModel> model;

  explicit Run(const std::string& path) {
    saving.model = path.substr(0, path.find(".optimizer.npz"));
    ModelOptions options;
    options.vocab_sizes = {4, 4};
    options.model_dim = options.ffn_dim = 2;
    options.heads = options.encoder_layers = options.decoder_layers = 1;
    options.tied_embeddings_all = true;
    OptimizerOptions optimizer;
    optimizer.ema_decay = 0.1;
    model = std::make_unique<TrainingModel>(*backend, options, DropoutOptions(), optimizer, 1);
  }
};

void read_optimizer(const std::string& path, std::string_view bytes) {
  static Run run(path);
  mend(path, bytes);
  Checkpoint::saved_state(run.saving);
  ModelOptions taken;
  int max_length = 0;
  Checkpoint::take_saved_options(run.saving, {}, taken, max_length);
  const auto state = Checkpoint(run.saving, {}, *run.model).resume();
  const Yaml saved = state->to_yaml();
  require(TrainingState::from_yaml(saved, "state").to_yaml() == saved);
}

int64_t sum_of_ids(const TokenCache& cache) {
  int64_t sum = 0;
  require(cache.rows_of_longest(3, 0) >= 0 && cache.rows_of_longest(3, 1) >= 0);
  for (uint32_t block = 0; block < cache.blocks(); ++block)
    for (uint32_t i = 0; i < cache.pairs_in(block); ++i) {
      const SentencePair pair = cache.pair(PairRef{block} << 16 | i);
      for (const auto& side : {pair.source, pair.target}) sum += std::accumulate(side.begin(), side.end(), int64_t{0});
    }
  return sum;
}

/// Lines as pairs of a block; what their ids sum up to is added to `sum`.
TokenBlock block_of(std::string_view lines, int64_t& sum) {
  TokenBlock block;
  std::vector<int32_t> sides[2];
  for (const char c : lines) {
    if (c != '\n') {
      sides[c & 1].push_back(uint8_t(c));
      continue;
    }
    if (block.line_delta.size() == block_lines) break;
    block.add(uint32_t(block.line_delta.size()), sides[0], sides[1]);
    for (auto& side : sides) {
      sum += std::accumulate(side.begin(), side.end(), int64_t{0});
      side.clear();
    }
  }
  return block;
}

/// Changes one byte of a file, which and how `word` chooses.
void damage(const std::string& path, uint32_t word) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out | std::ios::ate);
  const auto place = std::streamoff((word >> 8) % uint64_t(file.tellg()));
  file.seekg(place);
  const auto other = char(file.get() ^ std::max(1, int(word & 0xFF)));
  file.seekp(place);
  file.put(other);
}

/// Bytes as a cache; and a true cache of pairs that they choose, before and after one of its bytes is changed.
void read_token_cache(const std::string& path, std::string_view bytes) {
  if (bytes.size() < 16) return;
  const uint64_t key = word_at(bytes, 8) | uint64_t{word_at(bytes, 12)} << 32;
  if (const auto cache = TokenCache::adopt({bytes.begin(), bytes.end()}, key)) sum_of_ids(*cache);
  int64_t sum = 0;
  TokenCacheWriter writer(path, key);
  writer.add(block_of(bytes.substr(16), sum));
  require(sum_of_ids(*writer.finish()) == sum);
  damage(path, word_at(bytes, 0));
  require(TokenCache::open(path, key) == nullptr);
}

constexpr Row rows[] = {
    {"npz", "arrays.npz", read_npz},
    {"marian-binary", "model.bin", read_marian_binary},
    {"npy-header", "", read_npy_header},
    {"model", "model.npz", read_model},
    {"optimizer", "model.npz.optimizer.npz", read_optimizer},
    {"token-cache", "corpus.tokens", read_token_cache},
};

}  // namespace

std::span<const Row> archive_rows() { return rows; }
