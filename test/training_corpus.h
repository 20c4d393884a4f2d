#pragma once
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "data/training_data.h"
#include "test/catch.h"
#include "test/corpus_files.h"
#include "test/scratch_folder.h"
#include "test/throws.h"

// Training corpora of their own, and what is read of them.

namespace bough {

/// A corpus of files with word vocabularies, in a folder of its own.
struct CorpusSetup {
  ScratchFolder folder;
  ParallelText text;
  TrainingDataOptions options;

  explicit CorpusSetup(int pairs, uint64_t seed = 1) : CorpusSetup(make_parallel_text(pairs, seed)) {}
  explicit CorpusSetup(ParallelText of_pairs) : text(std::move(of_pairs)) {
    write_text(folder / "src", join_lines(text.source));
    write_text(folder / "trg", join_lines(text.target));
    options.corpus.train_sets = {folder / "src", folder / "trg"};
    options.corpus.tempdir = folder / "";
    options.corpus.max_length = 100;
    options.vocabulary.data_threads = 2;
    options.vocabulary.paths = {folder / "src.yml", folder / "trg.yml"};
    options.batch.mini_batch_words = 1000;
    options.seed = 5;
  }
  std::vector<std::shared_ptr<Vocabulary>> vocabularies() const {
    return load_or_create_vocabularies(options.vocabulary, options.corpus);
  }
  TrainingData data() const { return TrainingData(options, vocabularies()); }
  std::string message() const {
    return message_of([&] { data(); });
  }
};

inline std::vector<int64_t> sentence_ids(const UpdateBatches& update) {
  std::vector<int64_t> ids;
  for (const Batch& batch : update.micro) ids.insert(ids.end(), batch.sentence_ids.begin(), batch.sentence_ids.end());
  return ids;
}

/// The order of one whole epoch; checks that it holds each of `pairs` once.
inline std::vector<int64_t> read_epoch(TrainingData& data, int64_t pairs) {
  std::vector<int64_t> ids;
  for (bool done = false; !done;) {
    const UpdateBatches update = data.next();
    const auto more = sentence_ids(update);
    ids.insert(ids.end(), more.begin(), more.end());
    done = update.ends_epoch;
  }
  REQUIRE(std::set<int64_t>(ids.begin(), ids.end()).size() == ids.size());
  REQUIRE(int64_t(ids.size()) == pairs);
  return ids;
}

/// Everything the model sees of an update.
inline std::vector<std::vector<int32_t>> content(const UpdateBatches& update) {
  std::vector<std::vector<int32_t>> parts;
  for (const Batch& batch : update.micro) {
    for (const PackedSide* side : {&batch.source, &batch.target}) {
      parts.insert(parts.end(), {side->ids, side->positions, side->segments, side->offsets, side->order});
      parts.push_back({side->row_offset});
    }
    parts.insert(parts.end(), {batch.labels, batch.alignment_offsets, batch.alignment_keys});
    for (const Bin& bin : batch.bins)
      parts.push_back({bin.first_sentence, bin.end_sentence, bin.q0, bin.nq, bin.k0, bin.nk});
  }
  return parts;
}

inline void check_same_stream(TrainingData& a, TrainingData& b, int updates) {
  for (int i = 0; i < updates; ++i) {
    REQUIRE(content(a.next()) == content(b.next()));
    REQUIRE(a.state() == b.state());
  }
}

}  // namespace bough
