#include "apps/training/train_options.h"

#include <algorithm>
#include <initializer_list>

#include "apps/training/checkpoint.h"
#include "data/corpus.h"

namespace bough {
namespace {

bool any_given(const GivenNames& given, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return given.count(name) != 0; });
}

}  // namespace

void TrainOptions::settings(Settings& v) {
  general.settings(v);
  general.seed_settings(v);
  machine.settings(v);
  saving.model_settings(v);
  run.settings(v);
  display.settings(v);
  saving.settings(v);
  model.settings(v);
  dropout.settings(v);
  embedding.settings(v);
  dropout.embedding_settings(v);
  optimizer.settings(v);
  v.group("Data");
  corpus.settings(v);
  corpus.alignment_settings(v);
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
  general.resolve_seed();
  saving.validate();  // before its files are read
  Checkpoint::take_saved_options(saving, given, model, corpus.max_length);
  model.resolve(any_given(given, {"transformer-residual"}),
                any_given(given, {"transformer-preprocess", "transformer-postprocess", "transformer-postprocess-top"}));
  if (!model.has_bounded_branches() && !any_given(given, {"branchnorm-bound"}))
    model.branchnorm_bound.clear();  // of a checkpoint, whose schedule another takes over from
  if (!model.branchnorm_max_step) model.branchnorm_max_step = model.default_max_step(optimizer.warmup);
  model.max_positions = corpus.max_length;
  optimizer.resolve(model.is_deep_kind());
  if (vocabulary.paths.empty() && corpus.train_sets.size() == 2)  // as Marian does
    for (const std::string& path : corpus.train_sets) vocabulary.paths.push_back(path + ".yml");
  corpus.resolve(vocabulary.paths.size());
  if (batch.mini_batch_words > 0) batch.mini_batch_fit = false;
}

MemoryOptions TrainOptions::memory(int ranks) const {
  return {.machine = machine,
          .model = model,
          .dropout = dropout,
          .optimizer = optimizer,
          .recomputation = run.recomputation,
          .mini_batch_fit = batch.mini_batch_fit,
          .max_length = corpus.max_length,
          .measures_layers = bool(display.log_layer_norms),
          .measures_model_update = display.log_model_update,
          .ranks = ranks,
          .learns_alignments = corpus.has_alignments(),
          .has_weights = corpus.has_weights(),
          .longest_validated = validation.valid_sets.empty() ? 0 : validation.max_length};
}

void TrainOptions::validate() const {
  machine.validate();
  saving.validate();
  model.validate();
  optimizer.validate();
  embedding.validate(model.ties_source_and_target());
  check(optimizer.weight_decay == 0 || !(dropout.fix_source_embedding || dropout.fix_target_embedding),
        "optimizer-params has a weight decay of {}, which would shrink the embeddings that embedding-fix-src or "
        "embedding-fix-trg are to leave alone; leave one of them out",
        optimizer.weight_decay);
  corpus.validate();
  vocabulary.validate();
  check(!corpus.has_alignments() || dropout.guided_alignment_cost == "ce",
        "guided-alignment-cost is '{}', must be ce: a Transformer's attention is compared by cross-entropy alone, in "
        "Marian, too",
        dropout.guided_alignment_cost);
  check(!corpus.has_alignments() || !model.right_left,
        "guided-alignment and right-left are both given: alignments count target words from the first on. Leave one "
        "out");
  validation.validate();
  if (run.describe) return;
  if (!corpus.tsv) check_sides("train-sets", corpus.train_sets.size(), "Use --train-sets corpus.en corpus.de");
  const char* const one_file = "Give one line for both, with a tab between, and tsv";
  check_one_stdin("train-sets", corpus.train_sets, one_file);
  check_one_stdin("valid-sets", validation.valid_sets, one_file);
  std::vector<std::string> inputs = files_of(corpus);
  inputs.insert(inputs.end(), validation.valid_sets.begin(), validation.valid_sets.end());
  check_one_stdin("an input", inputs, "Give all but one as files");
  check_sides("vocabs", vocabulary.paths.size(), "A missing .spm file is trained");
  if (!validation.valid_sets.empty() && !corpus.tsv)
    check_sides("valid-sets", validation.valid_sets.size(), "Use --valid-sets valid.en valid.de");
  check(corpus.dim_vocabs.size() == vocabulary.paths.size(),
        "dim-vocabs has {} sizes, must have {}: one for each of vocabs", corpus.dim_vocabs.size(),
        vocabulary.paths.size());
  check(corpus.sentencepiece_alphas.empty() || corpus.sentencepiece_alphas.size() == vocabulary.paths.size(),
        "sentencepiece-alphas has {} values, must have at most {}: one for each of vocabs",
        corpus.sentencepiece_alphas.size(), vocabulary.paths.size());
  check(validation.valid_sets.size() <= 1 || !corpus.tsv, "valid-sets has {} files, must have 1 with tsv",
        validation.valid_sets.size());
}

}  // namespace bough
