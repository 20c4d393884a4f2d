#include "data/corpus.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/interrupt.h"
#include "core/base/io.h"
#include "core/base/log.h"
#include "data/hash.h"

namespace bough {
namespace {

constexpr uint64_t dealt_key = 0;  // of what is in memory alone: its text is no file that could be another one

/// Those that are files, not pipes or devices, which may be gone once they are open.
std::vector<std::string> regular_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (is_stdin(path)) continue;
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) fail_reading(path, errno);
    if (S_ISREG(status.st_mode)) files.push_back(path);
  }
  return files;
}

/// What tells one version of some files from another without reading them. Of a file that is gone: nothing.
uint64_t identify(const std::vector<std::string>& files) {
  uint64_t hash = 0;
  for (const std::string& path : files) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) continue;
    std::error_code ignored;
    hash = combine_hashes(hash, hash_bytes(std::filesystem::canonical(path, ignored).string()));
    for (const int64_t value :
         {int64_t{status.st_size}, int64_t{status.st_mtim.tv_sec}, int64_t{status.st_mtim.tv_nsec}})
      hash = combine_hashes(hash, uint64_t(value));
  }
  return hash;
}

}  // namespace

std::vector<std::string> files_of(const CorpusOptions& corpus) {
  std::vector<std::string> files = corpus.train_sets;
  if (corpus.has_alignments() && !corpus.tsv) files.push_back(corpus.guided_alignment);
  if (corpus.has_weights() && !corpus.tsv) files.push_back(corpus.data_weighting);
  return files;
}

std::string find_read_once(const std::vector<std::string>& files) {
  const auto found =
      std::ranges::find_if(files, [](const std::string& path) { return is_stdin(path) || is_stream(path); });
  return found == files.end() ? "" : *found;
}

Corpus::Corpus(EncodingRules rules)
    : rules_(std::move(rules)),
      is_stream_(rules_.corpus.tsv && !rules_.corpus.train_sets.empty() && is_stdin(rules_.corpus.train_sets[0])) {
  check_sampling();
  if (is_stream_) {
    if (!receives()) stream_ = std::make_unique<ParallelReader>(rules_.corpus);
    if (read_stream_window()) statistics_ = cache_->statistics();
  } else {
    open_files();
    statistics_ = cache_->statistics();
  }
  check_statistics();
}

void Corpus::check_sampling() const {
  const auto& alphas = rules_.corpus.sentencepiece_alphas;
  check(alphas.empty() || alphas.size() == 2, "sentencepiece-alphas has {} values, must have 2: source, target.",
        alphas.size());
  check(!rules_.samples() || !rules_.in_pieces,
        "sentencepiece-alphas: no-spm-encode says that the text is in pieces already. Leave one of them out.");
  check(!rules_.samples() || !rules_.corpus.has_alignments(),
        "sentencepiece-alphas draws other pieces in each epoch, but guided-alignment counts those of one segmentation. "
        "Leave one of them out.");
  check(rules_.alpha(1) == 0 || !rules_.corpus.has_weights() ||
            rules_.corpus.data_weighting_type == WeightLevel::sentence,
        "sentencepiece-alphas draws other target pieces in each epoch, but data-weighting has a weight for each of one "
        "segmentation. Give the target 0, or set data-weighting-type sentence.");
  for (size_t side = 0; side < 2; ++side)
    check(rules_.alpha(side) == 0 || rules_.vocabularies[side]->can_sample(),
          "sentencepiece-alphas: {} for '{}', which is no unigram model of SentencePiece. Give it 0, or another "
          "vocabulary.",
          rules_.alpha(side), rules_.vocabularies[side]->path());
}

void Corpus::stop() {
  stop_encoding();
  if (stream_) stream_->stop();
  if (rules_.deal) rules_.deal->stop();
}

void Corpus::open_files() {
  check(!rules_.corpus.train_sets.empty(), "train-sets is missing, must name the training files.");
  key_ = rules_.hash();
  in_memory_ = rules_.corpus.shuffle_in_ram;
  if (receives()) {
    receive_window();
  } else {
    const std::string once = find_read_once(files_of(rules_.corpus));
    check(once.empty() || !rules_.samples(),
          "sentencepiece-alphas: '{}' can be read only once, but segmentations are drawn anew in each epoch. Save it "
          "to a file.",
          once);
    in_memory_ |= !once.empty();
    files_ = regular_files(files_of(rules_.corpus));
    text_ = identify(files_);
    key_ = combine_hashes(key_, text_);
    cache_ = open_or_encode(rules_.deal ? dealt_key : key_, 0);
    deal_window();
  }
  fingerprint_ = cache_->fingerprint();
  if (rules_.samples()) fingerprint_ = combine_hashes(fingerprint_, rules_.hash_of_alphas());
}

std::string Corpus::cache_path(uint64_t key) const {
  return in_memory_ ? "" : fmt::format("{}/bough-{:016x}.tokens", rules_.corpus.tempdir, key);
}

std::shared_ptr<const TokenCache> Corpus::open_or_encode(uint64_t key, int64_t epoch) {
  const std::string path = cache_path(key);
  if (path.empty()) return encode_files(path, key, epoch);
  if (std::shared_ptr<const TokenCache> cache = TokenCache::open(path, key)) return cache;
  check_tempdir(path);
  FileLock lock(path + ".lock");  // a second run on the same corpus waits instead of encoding, too
  if (lock.state() == FileLock::State::taken)
    log::info("[data] waiting for another run that encodes the same corpus ({})", lock.holder());
  lock.wait([this] {
    check(!stop_.stop_requested(), "training data: waiting for another run was stopped");
    stop_if_interrupted();
  });
  if (std::shared_ptr<const TokenCache> cache = TokenCache::open(path, key)) return cache;
  return encode_files(path, key, epoch);
}

/// Says which option is meant, where the folder is the default and may be missing.
void Corpus::check_tempdir(const std::string& path) const {
  make_folder_of(path);
  const std::string& folder = rules_.corpus.tempdir;
  check(access(folder.c_str(), W_OK | X_OK) == 0,
        "tempdir: no file can be written in '{}' ({}). Give another folder, or set shuffle-in-ram", folder,
        std::strerror(errno));
}

std::shared_ptr<const TokenCache> Corpus::encode_files(const std::string& path, uint64_t key, int64_t epoch) {
  log::info("[data] encoding the training corpus{}{}", epoch > 0 ? fmt::format(" for epoch {}", epoch) : "",
            path.empty() ? std::string(" in memory") : fmt::format(" into '{}'", path));
  ParallelReader reader(rules_.corpus);
  TokenCacheWriter writer(path, key);
  encode(reader, rules_, {.epoch = epoch, .stop = stop_.get_token()}, writer);
  check(identify(files_) == text_,
        "train-sets: '{}' or a file beside it has changed since training began, must be the same text. Leave the files "
        "alone.",
        rules_.corpus.train_sets[0]);
  return writer.finish();
}

/// Sampled segmentations: the cache of an epoch instead of that of another, whose file goes.
void Corpus::open_epoch(int64_t epoch) {
  const auto key_of = [&](int64_t e) {
    return combine_hashes(combine_hashes(fingerprint_, key_), combine_hashes(rules_.seed, uint64_t(e)));
  };
  auto cache = open_or_encode(key_of(epoch), epoch);
  const CorpusStatistics& found = cache->statistics();
  check(found.lines == statistics_.lines,
        "train-sets: {} lines in epoch {}, {} when training began, must be the same text. Leave the files alone.",
        found.lines, epoch, statistics_.lines);
  check(found.pairs > 0,
        "sentencepiece-alphas: in epoch {} all pairs are longer than max-length = {} tokens. Raise "
        "max-length or the alphas, or set max-length-crop.",
        epoch, rules_.corpus.max_length);
  log::info("[data] epoch {}: {} sentence pairs, {} source and {} target tokens, {} pairs {}", epoch, found.pairs,
            found.source_tokens, found.target_tokens, found.dropped + found.cropped,
            rules_.corpus.max_length_crop ? "cut" : "dropped");
  if (epoch_ > 0 && !in_memory_) ::unlink(cache_path(key_of(epoch_)).c_str());
  cache_ = std::move(cache);
  epoch_ = epoch;
}

/// What another process has read.
void Corpus::receive_window() {
  const DealtWindow window = rules_.deal->take();
  stream_window_ = window.number;
  cache_ = window.bytes.empty() ? nullptr : TokenCache::adopt({window.bytes.begin(), window.bytes.end()}, dealt_key);
  check(window.bytes.empty() || cache_, "training data: window {} came damaged: a defect of bough; please report",
        window.number);
}

/// What this process has read, for the others.
void Corpus::deal_window() const {
  if (rules_.deal) rules_.deal->put({stream_window_, cache_ ? std::string(cache_->bytes()) : std::string()});
}

/// False at the end of the stream.
bool Corpus::read_stream_window() {
  if (receives()) {
    receive_window();
    return cache_ != nullptr;
  }
  TokenCacheWriter writer("", dealt_key);
  encode(*stream_, rules_,
         {.most_lines = stream_window_lines, .epoch = rules_.samples() ? stream_pass() : 0, .stop = stop_.get_token()},
         writer);
  ++stream_window_;
  const bool has_lines = writer.statistics().lines > 0;
  cache_ = has_lines ? std::shared_ptr<const TokenCache>(writer.finish()) : nullptr;
  deal_window();
  return has_lines;
}

void Corpus::skip_stream_windows(int64_t windows) {
  if (receives()) return;  // those that are skipped are not dealt
  if (windows > 0) log::info("[data] skipping {} lines that were used before", windows * stream_window_lines);
  std::string source, target;
  for (int64_t line = 0; line < windows * stream_window_lines; ++line)
    if (!stream_->next(source, target)) break;
  stream_window_ += windows;
}

void Corpus::check_statistics() const {
  const auto& names = rules_.corpus.train_sets;
  const auto& found = statistics_;
  check(found.lines > 0, "train-sets: '{}' is empty, must hold sentences. Check the file.", names[0]);
  check(found.pairs > 0,
        "train-sets: each of the {} sentence pairs has a side longer than max-length = {} tokens. "
        "Raise max-length or set max-length-crop.",
        found.lines, rules_.corpus.max_length);
  log::info("[data] {}{} sentence pairs, {} source and {} target tokens", is_stream_ ? "first window: " : "",
            found.pairs, found.source_tokens, found.target_tokens);
  if (found.dropped > 0)
    log::info("[data] {} pairs dropped: a side is longer than max-length = {} tokens", found.dropped,
              rules_.corpus.max_length);
  if (found.cropped > 0)
    log::info("[data] {} pairs cut to max-length = {} tokens", found.cropped, rules_.corpus.max_length);
}

uint64_t Corpus::fingerprint() const {
  if (!is_stream_) return fingerprint_;
  return cache_ ? cache_->fingerprint() : 0;
}

int64_t Corpus::longest_source() const {
  return has_bounded_lengths() ? rules_.corpus.max_length : statistics_.longest_source;
}
int64_t Corpus::longest_target() const {
  return has_bounded_lengths() ? rules_.corpus.max_length : statistics_.longest_target;
}

int64_t Corpus::most_source_rows(int64_t sentences) const {
  return has_bounded_lengths() ? sentences * longest_source() : cache_->rows_of_longest(sentences, 0);
}
int64_t Corpus::most_target_rows(int64_t sentences) const {
  return has_bounded_lengths() ? sentences * longest_target() : cache_->rows_of_longest(sentences, 1);
}

void Corpus::seek_stream(int64_t window) {
  check(window >= stream_window_, "stdin: window {} was read already, a stream only goes forward.", window);
  if (!cache_ || stream_window_ == window) return;
  skip_stream_windows(window - stream_window_ - 1);
  read_stream_window();
}

CorpusWindow Corpus::window(const OrderRules& rules, int64_t epoch, int64_t window) {
  if (!is_stream_) {
    if (rules_.samples() && epoch != epoch_) open_epoch(epoch);
    if (window >= window_count(*cache_, rules)) return {};
    return {cache_, orders_.pairs(*cache_, rules, epoch, window)};
  }
  if (epoch > stream_pass()) return {};
  seek_stream(window);
  if (!cache_) return {};
  OrderRules whole = rules;  // a stream's window is one shuffle window, with numbers of its own
  whole.seed = combine_hashes(rules.seed, uint64_t(window));
  whole.window_blocks = std::max(cache_->blocks(), 1U);
  if (cache_->blocks() == 0) return {cache_, {}};
  return {cache_, orders_.pairs(*cache_, whole, epoch, 0)};
}

}  // namespace bough
