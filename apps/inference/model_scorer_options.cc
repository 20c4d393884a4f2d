#include "apps/inference/model_scorer_options.h"

#include "apps/inference/alignment_format.h"
#include "apps/inference/decoding_options.h"
#include "apps/inference/ensemble.h"
#include "core/base/io.h"

namespace bough {
namespace {

const EnumNames<ScoreSummary> summary_names = {{"", ScoreSummary::none},
                                               {"cross-entropy", ScoreSummary::cross_entropy},
                                               {"ce-mean-words", ScoreSummary::ce_mean_words},
                                               {"ce-sum", ScoreSummary::ce_sum},
                                               {"perplexity", ScoreSummary::perplexity}};

}  // namespace

ModelScorerOptions::ModelScorerOptions() {
  corpus.max_length = 1000;
  batch.maxi_batch_sort = SortKind::target;
}

void ModelScorerOptions::settings(Settings& v) {
  general.settings(v);
  general.accepted_settings(v);
  machine.settings(v);
  machine.inference_settings(v);
  v.group("Scoring");
  v(models, {"model", 'm'}, "model file (.npz, or Marian's .bin); several: an ensemble", Path{});
  weights_setting(v, weights);
  v.accepted<bool>("no-reload", "the model is always read");
  v.accepted<bool>("quiet-translation", "nothing is translated");
  v(corpus.train_sets, {"train-sets", 't'}, "files to score, source first; with n-best the second is an n-best list",
    Path{});
  v(corpus.tsv, "tsv",
    "one file (none = standard input) with tab-separated fields: the source first, the target second; "
    "others are left aside");
  v(corpus.tsv_fields, "tsv-fields", "with tsv, fields that each line must have, at least 2; 0 means 2, too",
    Range<int>{0});
  vocabulary.settings(v);
  v(output, {"output", 'o'}, "file for the scores; .gz is packed", Path{Path::output});
  v(n_best, "n-best", "score an n-best list: add the score to each line as a feature");
  v(n_best_feature, "n-best-feature", "name of that feature");
  v(normalize, {"normalize", 'n'}, "divide scores by the target length, end of sentence included");
  v(summary, {"summary", 0, "cross-entropy"},
    "print one number over all sentences instead of one each; cross-entropy is per sentence", summary_names);
  v(word_scores, "word-scores", "print the log-probability of each target token, too");
  v(alignment, {"alignment", 0, "1"}, alignment_help);
  corpus.length_settings(v);
  v.group("Batches");
  batch.settings(v);
}

void ModelScorerOptions::resolve(const GivenNames&) {
  if (corpus.tsv && corpus.train_sets.empty()) corpus.train_sets = {"stdin"};
}

void ModelScorerOptions::validate() const {
  machine.validate();
  vocabulary.validate();
  check_models("model", models, weights);
  (void)AlignmentFormat::parse(alignment);
  check(summary == ScoreSummary::none || alignment.empty(),
        "summary prints one number over all sentences, alignment words for each; leave one out");
  check(!word_scores || !n_best,
        "word-scores and n-best are both given: a line of an n-best list gets one score; leave one out");
  check(summary == ScoreSummary::none || !word_scores,
        "summary prints one number over all sentences, word-scores some for each; leave one out");
  check(!corpus.tsv || !n_best,
        "tsv and n-best are both given: an n-best list has no fields for a source; leave one out");
  check_one_stdin("train-sets", corpus.train_sets,
                  n_best ? "Give one of them as a file" : "Give one line for both, with a tab between, and tsv");
  corpus.check_fields(2, "source and target");
  if (corpus.tsv)
    check(corpus.train_sets.size() == 1, "train-sets has {} files, must have 1 with tsv", corpus.train_sets.size());
  else
    check_sides("train-sets", corpus.train_sets.size(), "Use --train-sets source target");
  check_sides("vocabs", vocabulary.paths.size(), "Use --vocabs source.spm target.spm");
}

}  // namespace bough
