// What each program can be told: its rows, what follows from them, and what must hold.
#include "apps/options.h"

#include <algorithm>
#include <chrono>
#include <initializer_list>

namespace bough {
namespace {

const EnumNames<ScoreSummary> summary_names = {{"", ScoreSummary::none},
                                               {"cross-entropy", ScoreSummary::cross_entropy},
                                               {"ce-mean-words", ScoreSummary::ce_mean_words},
                                               {"ce-sum", ScoreSummary::ce_sum},
                                               {"perplexity", ScoreSummary::perplexity}};

void resolve_seed(GeneralOptions& general) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  general.is_seed_from_clock = general.seed == 0;
  if (general.seed == 0) general.seed = static_cast<uint64_t>(now.count());
}

bool any_given(const GivenNames& given, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](const char* name) { return given.count(name) != 0; });
}

void check_sides(const char* option, size_t files, const char* advice) {
  check(files == 2, "{} has {} {}, must have 2: source and target. {}", option, files,
        files == 1 ? "file" : "files", advice);
}

/// What only training needs, and Marian's other programs have, too.
void accepted_settings(Settings& v) {
  v.accepted<uint64_t>("seed", "accepted: nothing is random here, the same input gives the same output");
  v.accepted<int>("data-threads", "accepted: lines are encoded as they are read");
}

}  // namespace

void TrainOptions::settings(Settings& v) {
  general.settings(v);
  general.seed_settings(v);
  machine.settings(v);
  run.settings(v);
  model.settings(v);
  dropout.settings(v);
  optimizer.settings(v);
  v.group("Data");
  corpus.settings(v);
  v.alias("no-shuffle", "as shuffle none", false, {});
  v.group("Vocabularies");
  vocabulary.settings(v);
  vocabulary.thread_settings(v);
  corpus.vocabulary_settings(v);
  v.group("Batches");
  batch.settings(v);
  batch.training_settings(v);
  validation.settings(v);
  decoding.settings(v);
}

void TrainOptions::resolve(const GivenNames& given) {
  resolve_seed(general);
  model.resolve(any_given(given, {"transformer-residual"}),
                any_given(given, {"transformer-preprocess", "transformer-postprocess",
                                  "transformer-postprocess-top"}));
  if (!model.branchnorm_max_step)
    model.branchnorm_max_step = optimizer.warmup ? optimizer.warmup : SchedulePeriod{4000};
  model.max_positions = corpus.max_length;
  optimizer.resolve(model.is_deep_kind());
  if (batch.mini_batch_words > 0) batch.mini_batch_fit = false;
}

void TrainOptions::validate() const {
  machine.validate();
  run.validate();
  model.validate();
  optimizer.validate();
  corpus.validate();
  validation.validate();
  if (run.describe) return;
  if (!corpus.tsv)
    check_sides("train-sets", corpus.train_sets.size(), "Use --train-sets corpus.en corpus.de");
  else
    check(corpus.train_sets.size() == 1, "train-sets is empty, must name a file, or stdin");
  check_sides("vocabs", vocabulary.paths.size(), "A missing .spm file is trained");
  if (!validation.valid_sets.empty() && !corpus.tsv)
    check_sides("valid-sets", validation.valid_sets.size(), "Use --valid-sets valid.en valid.de");
  check(corpus.dim_vocabs.size() == vocabulary.paths.size(),
        "dim-vocabs has {} sizes, must have {}: one for each of vocabs", corpus.dim_vocabs.size(),
        vocabulary.paths.size());
  check(corpus.sentencepiece_alphas.empty() ||
            corpus.sentencepiece_alphas.size() == vocabulary.paths.size(),
        "sentencepiece-alphas has {} values, must have {}: one for each of vocabs",
        corpus.sentencepiece_alphas.size(), vocabulary.paths.size());
  check(validation.valid_sets.size() <= 1 || !corpus.tsv,
        "valid-sets has {} files, must have 1 with tsv", validation.valid_sets.size());
}

TranslateOptions::TranslateOptions() {
  machine.workspace = 512;
  corpus.max_length = 1000;
  batch.mini_batch = 1;
  batch.maxi_batch = 1;
}

void TranslateOptions::settings(Settings& v) {
  general.settings(v);
  accepted_settings(v);
  machine.settings(v);
  v.group("Translation");
  v(models, {"models", 'm'}, "model file (.npz)", Path{});
  vocabulary.settings(v);
  v(input, {"input", 'i'}, "file with one sentence a line", Path{});
  v(output, {"output", 'o'}, "file for the translations", Path{});
  v(no_spm_decode, "no-spm-decode", "leave the translation in SentencePiece pieces");
  corpus.length_settings(v);
  v.group("Batches");
  batch.settings(v);
  decoding.settings(v);
  v.group("Output");
  decoding.output_settings(v);
}

void TranslateOptions::resolve(const GivenNames&) {}

void TranslateOptions::validate() const {
  machine.validate();
  check(!models.empty(),
        "models is empty, must name a model. Use -m model.npz, or -c model.npz.decoder.yml");
  check(models.size() == 1, "models has {} files, must have 1: ensembles are not supported yet",
        models.size());
  check(models[0].ends_with(".npz"), "models is '{}', must end in .npz", models[0]);
  check_sides("vocabs", vocabulary.paths.size(), "<model>.decoder.yml names them: use -c");
  check(input.size() == 1, "input has {} files, must have 1: a model has one source", input.size());
}

ModelScorerOptions::ModelScorerOptions() {
  corpus.max_length = 1000;
  batch.maxi_batch_sort = SortKind::target;
}

void ModelScorerOptions::settings(Settings& v) {
  general.settings(v);
  accepted_settings(v);
  machine.settings(v);
  v.group("Scoring");
  v(model, {"model", 'm'}, "model file (.npz)", Path{});
  v(corpus.train_sets, {"train-sets", 't'},
    "files to score, source first; with n-best the second is an n-best list", Path{});
  vocabulary.settings(v);
  v(output, {"output", 'o'}, "file for the scores", Path{});
  v(n_best, "n-best", "score an n-best list: add the score to each line as a feature");
  v(n_best_feature, "n-best-feature", "name of that feature");
  v(normalize, {"normalize", 'n'}, "divide scores by the target length, end of sentence included");
  v(summary, {"summary", 0, "cross-entropy"},
    "print one number over all sentences instead of one each; cross-entropy is per sentence",
    summary_names);
  v(word_scores, "word-scores", "print the log-probability of each target token, too");
  corpus.length_settings(v);
  v.group("Batches");
  batch.settings(v);
}

void ModelScorerOptions::resolve(const GivenNames&) {}

void ModelScorerOptions::validate() const {
  machine.validate();
  check(model.ends_with(".npz"), "model is '{}', must end in .npz", model);
  check(!word_scores || !n_best, "word-scores and n-best are both given: a line of an n-best list gets one score; leave one out");
  check(summary == ScoreSummary::none || !word_scores,
        "summary prints one number over all sentences, word-scores some for each; leave one out");
  check_sides("train-sets", corpus.train_sets.size(), "Use --train-sets source target");
  check_sides("vocabs", vocabulary.paths.size(), "Use --vocabs source.spm target.spm");
}

}  // namespace bough
