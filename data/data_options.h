#pragma once
#include <array>
#include <string>
#include <vector>

#include "core/base/schedule_unit.h"
#include "core/base/settings.h"

namespace bough {

/// What an epoch puts into random order: sentences (and so batches), batches alone, nothing.
enum class ShuffleKind { data, batches, none };
/// The side by whose length sentences are sorted before they are cut into batches.
enum class SortKind { none, source, target };

/// Which losses a weight of data-weighting multiplies: those of all of a pair's target tokens, or of one.
enum class WeightLevel { sentence, word };
/// What a field of a tab-separated line is.
enum class InputType { sequence, class_label, alignment, weight };

/// Vocabularies and how lines become token ids; every program needs them.
struct VocabularyOptions {
  std::vector<std::string> paths;  ///< one per stream, the target's last
  bool no_spm_encode = false;
  int data_threads = 8;

  void settings(Settings& v);
  void thread_settings(Settings& v);  ///< training; the others encode lines as they read them
  void validate() const;
};

/// Where parallel text comes from and which of it is used.
struct CorpusOptions {
  std::vector<std::string> train_sets;
  bool tsv = false;
  int tsv_fields = 0;  ///< 0 = as many as fields()
  /// Pharaoh file of word alignments, with tsv the number of their field, from 0; "none"
  std::string guided_alignment = "none";
  std::string data_weighting;  ///< file of weights, with tsv the number of their field, from 0; "" = none
  WeightLevel data_weighting_type = WeightLevel::sentence;
  std::vector<InputType> input_types;  ///< another way to say which fields alignments and weights are
  int max_length = 50;                 ///< tokens, end of sentence included
  bool max_length_crop = false;
  ShuffleKind shuffle = ShuffleKind::data;
  bool shuffle_in_ram = false;
  std::string tempdir = "/tmp";

  std::vector<int> dim_vocabs = {0, 0};  ///< entries used per vocabulary; 0 = all
  std::string sentencepiece_options;
  std::vector<double> sentencepiece_alphas;
  int64_t sentencepiece_max_lines = 2'000'000;

  void length_settings(Settings& v);      ///< max-length, max-length-crop: all programs
  void settings(Settings& v);             ///< train-sets, tsv, …: training
  void alignment_settings(Settings& v);   ///< guided-alignment, data-weighting: training
  void vocabulary_settings(Settings& v);  ///< how missing vocabularies are made: training
  /// Training: what is left out. tsv alone reads standard input, standard input alone is tsv; alphas of the streams
  /// that have none are 0.
  void resolve(size_t streams);
  void validate() const;
  /// Of programs that leave further fields aside: Error unless a line has at least so many, which are `what`.
  void check_fields(int least, const char* what) const;

  bool has_alignments() const { return guided_alignment != "none" && !guided_alignment.empty(); }
  bool has_weights() const { return !data_weighting.empty(); }
  /// Of a tab-separated line.
  size_t fields() const { return 2 + size_t(has_alignments()) + size_t(has_weights()); }
  std::string text_of_fields() const;  ///< for messages
  /// The fields of source and target, with tsv.
  std::array<size_t, 2> text_fields() const;
  /// The field that alignments are in, with tsv. Error if guided-alignment is none of them.
  size_t alignment_field() const;
  size_t weight_field() const;  ///< the same of weights
  /// The field that an option's value names, with tsv; Error if it is none.
  size_t field_of(const char* option, const std::string& number) const;

 private:
  void take_input_types();
};

/// How sentences are put together into batches.
struct BatchOptions {
  int mini_batch = 64;          ///< sentences of an update
  int mini_batch_words = 0;     ///< N: at most N tokens on each side per update; 0 = off
  bool mini_batch_fit = false;  ///< the largest token budget that fits into memory
  SchedulePeriod mini_batch_warmup;
  int maxi_batch = 100;
  SortKind maxi_batch_sort = SortKind::none;

  void settings(Settings& v);           ///< mini-batch, mini-batch-words, maxi-batch(-sort): all programs
  void training_settings(Settings& v);  ///< the rest
};

/// Error unless `files` is 2: source and target. `advice` completes the sentence.
void check_sides(const char* option, size_t files, const char* advice);

}  // namespace bough
