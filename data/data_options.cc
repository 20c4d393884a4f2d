#include "data/data_options.h"

#include <algorithm>
#include <charconv>

#include "core/base/error.h"
#include "core/base/io.h"

namespace bough {
namespace {

const EnumNames<ShuffleKind> shuffle_names = {
    {"data", ShuffleKind::data}, {"batches", ShuffleKind::batches}, {"none", ShuffleKind::none}};
const EnumNames<SortKind> sort_names = {{"none", SortKind::none}, {"src", SortKind::source}, {"trg", SortKind::target}};
const EnumNames<WeightLevel> weight_level_names = {{"sentence", WeightLevel::sentence}, {"word", WeightLevel::word}};
const EnumNames<InputType> input_type_names = {{"sequence", InputType::sequence},
                                               {"class", InputType::class_label},
                                               {"alignment", InputType::alignment},
                                               {"weight", InputType::weight}};

}  // namespace

void VocabularyOptions::settings(Settings& v) {
  v(paths, {"vocabs", 'v'},
    "one vocabulary per stream, the target's last: .spm (SentencePiece), .yml, .yaml or .json (token: id), or text "
    "with one token a line. Training makes what is missing, without this option FILE.yml for each "
    "FILE of train-sets (not from tsv)",
    Path{});
  v(no_spm_encode, "no-spm-encode", "the text is already in SentencePiece pieces");
}

void VocabularyOptions::validate() const {
  for (const std::string& path : paths)
    check(!path.ends_with(".fsv"),
          "vocabs: '{}' is a factored vocabulary, which bough does not have; use .spm, .yml, .json or text", path);
}

void VocabularyOptions::thread_settings(Settings& v) {
  v(data_threads, "data-threads", "threads that encode text", Range<int>{1, most_threads});
}

void CorpusOptions::length_settings(Settings& v) {
  v(max_length, "max-length",
    "longest sentence in tokens, end of sentence included. Training drops longer pairs (and counts "
    "them in the log), translation and scoring cut them",
    Range<int>{1});
  v(max_length_crop, "max-length-crop",
    "cut longer sentences: in training instead of dropping them, in translation and scoring without a warning");
}

void CorpusOptions::settings(Settings& v) {
  v(train_sets, {"train-sets", 't'}, "parallel files, source first; .gz is fine; with tsv one file, or stdin", Path{});
  length_settings(v);
  v(shuffle, "shuffle", "data: the sentences, anew each epoch; batches: only the order of batches; none: corpus order",
    shuffle_names);
  v(shuffle_in_ram, "shuffle-in-ram", "keep the encoded corpus in memory instead of in a file under tempdir");
  v(tempdir, {"tempdir", 'T'}, "where the encoded corpus is cached", Path{});
  v.accepted<std::string>({"sqlite", 0, "temporary"}, "the encoded corpus is on disk anyway, in a file under tempdir");
  v.remark("has no effect: the encoded corpus is on disk anyway, in a file under tempdir", "");
  v.accepted<bool>("sqlite-drop", "there is no database");
  v.remark("has no effect: there is no database, and a corpus that has changed is encoded anew", "false");
  v(tsv, "tsv", "the corpus is one file, or standard input, with tab-separated fields, source first");
  v(tsv_fields, "tsv-fields",
    "with tsv, fields that each line must have: 2, source and target, one for guided-alignment, one for "
    "data-weighting; 0 means so many, too",
    Range<int>{0});
}

void CorpusOptions::alignment_settings(Settings& v) {
  v(guided_alignment, "guided-alignment",
    "word alignments of the corpus that attention is to learn: a file in Pharaoh's format (0-0 1-2: source-target, "
    "from 0) with a line a pair, .gz is fine; with tsv the number of their field, from 0. Of tokens as the "
    "vocabularies split the text; none = no alignments",
    Path{.or_field = true});
  v(data_weighting, "data-weighting",
    "weights of the corpus, at least 0, that the losses of target tokens are multiplied with: a file with a line a "
    "pair, .gz is fine; with tsv the number of their field, from 0. Losses are still divided by numbers of tokens",
    Path{.or_field = true});
  v(data_weighting_type, "data-weighting-type",
    "sentence: one weight a line; word: one for each target token as the vocabulary splits the text, with or without "
    "one more for the end of the sentence (else 1)",
    weight_level_names);
  v(input_types, "input-types",
    "with tsv, what each field of a line is: another way to say which one guided-alignment and data-weighting mean",
    input_type_names);
}

void CorpusOptions::vocabulary_settings(Settings& v) {
  v(dim_vocabs, "dim-vocabs",
    "use this many entries of each vocabulary, 0 = all; also the size of SentencePiece "
    "vocabularies "
    "trained because their file is missing (0 = 32000)",
    Range<int>{0, 10'000'000});
  v(sentencepiece_options, "sentencepiece-options",
    "passed to SentencePiece's trainer as they stand, e.g. '--character_coverage=1.0'");
  v(sentencepiece_alphas, "sentencepiece-alphas",
    "subword regularisation: in each epoch of training, draw the segmentation of every line anew, with probability "
    "proportional to its unigram probability to the power of alpha. One alpha per stream, missing ones are 0 = the "
    "best one always",
    Range<double>{0});
  v(sentencepiece_max_lines, "sentencepiece-max-lines",
    "train SentencePiece on a sample of at most this many lines, 0 = on all", Range<int64_t>{0});
}

void CorpusOptions::resolve(size_t streams) {
  take_input_types();
  if (tsv && train_sets.empty()) train_sets = {"stdin"};
  if (train_sets.size() == 1 && is_stdin(train_sets[0])) tsv = true;
  if (!sentencepiece_alphas.empty() && sentencepiece_alphas.size() < streams) sentencepiece_alphas.resize(streams);
  if (dim_vocabs.size() < streams) dim_vocabs.resize(streams);
}

void CorpusOptions::validate() const {
  check(tsv_fields == 0 || size_t(tsv_fields) == fields(), "tsv-fields is {}, must be {}; cut the other columns away",
        tsv_fields, text_of_fields());
  check(tsv_fields == 0 || tsv, "tsv-fields is given without tsv; give both or neither");
  check(!tsv || train_sets.size() == 1, "train-sets has {} files, must have 1 with tsv", train_sets.size());
  check(!tsv || !has_alignments() || !has_weights() || alignment_field() != weight_field(),
        "guided-alignment and data-weighting are both field {}, must be two fields", data_weighting);
  if (tsv && has_alignments()) (void)alignment_field();
  if (tsv && has_weights()) (void)weight_field();
  const auto count = [&](InputType type) { return std::count(input_types.begin(), input_types.end(), type); };
  check(input_types.empty() || (count(InputType::sequence) == 2 && count(InputType::class_label) == 0 &&
                                count(InputType::alignment) < 2 && count(InputType::weight) < 2),
        "input-types must be two times sequence, and with tsv at most one alignment and one weight");
  check(input_types.size() <= 2 || tsv,
        "input-types names {} fields, must come with tsv; without it guided-alignment and data-weighting name files",
        input_types.size());
}

void CorpusOptions::check_fields(int least, const char* what) const {
  check(tsv_fields == 0 || tsv, "tsv-fields is given without tsv; give both or neither");
  check(tsv_fields == 0 || tsv_fields >= least, "tsv-fields is {}, must be at least {}: {}", tsv_fields, least, what);
}

std::string CorpusOptions::text_of_fields() const {
  return fmt::format("{}: source, target{}{}", fields(), has_alignments() ? ", word alignment" : "",
                     has_weights() ? ", weights" : "");
}

size_t CorpusOptions::field_of(const char* option, const std::string& number) const {
  size_t field = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), field);
  check(error == std::errc() && *end == '\0' && field < fields(),
        "{} is '{}', must with tsv be the number of its field, 0 to {}", option, number, fields() - 1);
  return field;
}

std::array<size_t, 2> CorpusOptions::text_fields() const {
  std::vector<size_t> text;
  for (size_t field = 0; field < fields(); ++field)
    if (!(has_alignments() && field == alignment_field()) && !(has_weights() && field == weight_field()))
      text.push_back(field);
  return {text[0], text[1]};
}

size_t CorpusOptions::alignment_field() const { return field_of("guided-alignment", guided_alignment); }
size_t CorpusOptions::weight_field() const { return field_of("data-weighting", data_weighting); }

void CorpusOptions::take_input_types() {
  const auto take = [&](InputType type, std::string& option, const char* name, const char* rest) {
    const auto at = std::find(input_types.begin(), input_types.end(), type);
    if (at == input_types.end()) return;
    const std::string number = std::to_string(at - input_types.begin());
    check(option == rest || option == number, "input-types and {} both name a field, must be one of them", name);
    option = number;
  };
  take(InputType::alignment, guided_alignment, "guided-alignment", "none");
  take(InputType::weight, data_weighting, "data-weighting", "");
}

void BatchOptions::settings(Settings& v) {
  v(mini_batch, "mini-batch",
    "sentences of a batch; in training, of an update. mini-batch-words and mini-batch-fit replace "
    "it",
    Range<int>{1});
  v(mini_batch_words, "mini-batch-words",
    "tokens of a batch. In training: at most N on the target side, and N times the corpus's length ratio on the "
    "source side; nothing is padded. Elsewhere: at most N on either side, of the lines that are read at once, "
    "mini-batch times maxi-batch; to translate, 64 times 100 where neither is given. 0 = count sentences",
    Range<int>{0});
  v(maxi_batch, "maxi-batch", "sort within this many batches", Range<int>{1});
  v(maxi_batch_sort, "maxi-batch-sort",
    "sort by length before cutting batches: none, src or trg. Packed batches need no sorting to "
    "train",
    sort_names);
}

void BatchOptions::training_settings(Settings& v) {
  v(mini_batch_fit, "mini-batch-fit",
    "take the largest token budget whose activations fit into the workspace; mini-batch-words wins "
    "over it");
  v.accepted<int>("mini-batch-fit-step", "the budget comes from the memory plan, nothing is searched");
  v.remark("has no effect: mini-batch-fit computes the budget from the memory plan and searches nothing", "10");
  v.accepted<bool>("mini-batch-round-up", "mini-batch-warmup grows without rounding");
  v(mini_batch_warmup, "mini-batch-warmup", "the batch grows linearly to full size over this period",
    updates_or_labels);
}

void check_sides(const char* option, size_t files, const char* advice) {
  check(files == 2, "{} has {} {}, must have 2: source and target. {}", option, files, files == 1 ? "file" : "files",
        advice);
}

}  // namespace bough
