#include "apps/inference/translate_options.h"

#include "apps/inference/alignment_format.h"
#include "apps/inference/ensemble.h"
#include "core/base/io.h"

namespace bough {

TranslateOptions::TranslateOptions() {
  machine.workspace = 512;
  corpus.max_length = 1000;
  batch.mini_batch = 1;
  batch.maxi_batch = 1;
}

void TranslateOptions::settings(Settings& v) {
  general.settings(v);
  general.accepted_thread_settings(v);
  machine.settings(v);
  machine.inference_settings(v);
  v.group("Translation");
  v(models, {"models", 'm'}, "model file (.npz, or Marian's .bin); several: an ensemble", Path{});
  weights_setting(v, weights);
  vocabulary.settings(v);
  v(input, {"input", 'i'}, "file with one sentence a line; with force-decode and without tsv a second file", Path{});
  v(corpus.tsv, "tsv",
    "lines have tab-separated fields: the source first, with force-decode what the translation begins with second; "
    "others are left aside");
  v(corpus.tsv_fields, "tsv-fields", "with tsv, fields that each line must have; 0 = as many as are used, or more",
    Range<int>{0});
  v(output, {"output", 'o'}, "file for the translations; .gz is packed", Path{Path::output});
  v(no_spm_decode, "no-spm-decode", "leave the translation in SentencePiece pieces");
  corpus.length_settings(v);
  v.group("Batches");
  batch.settings(v);
  decoding.settings(v);
  decoding.translate_settings(v);
  v.file_and_items(
      shortlist, "shortlist",
      "choose words of each sentence from those that a lexical shortlist has for it: a binary file, or text (lines "
      "of target, source, probability) with the first FIRST words of the vocabulary and the BEST most probable "
      "above PRUNE of each source word (100 100 0). CHECK: compare a binary file's checksum. false = all words",
      "PATH [FIRST [BEST [PRUNE]]] or PATH CHECK; FIRST >= 0, BEST >= 1, PRUNE >= 0");
  v(general.seed, "seed", "of output-sampling: the same seed and input give the same samples. 0 = from the clock");
  v.group("Output");
  decoding.output_settings(v);
  v(stat_freq, "stat-freq", "log the speed each time so many batches are done; 0 = never", Units{"u"});
}

void TranslateOptions::resolve(const GivenNames& given) {
  general.resolve_seed();
  // A batch of so many words comes from a window of mini-batch times maxi-batch lines, by default of one.
  if (batch.mini_batch_words > 0 && !given.contains("mini-batch") && !given.contains("maxi-batch")) {
    batch.mini_batch = BatchOptions().mini_batch;
    batch.maxi_batch = BatchOptions().maxi_batch;
  }
  decoding.seed = general.seed;
  decoding.allow_unk |= decoding.replace_unk;
}

void TranslateOptions::validate() const {
  machine.validate();
  vocabulary.validate();
  check_models("models", models, weights);
  (void)AlignmentFormat::parse(decoding.alignment);
  check_sides("vocabs", vocabulary.paths.size(), "<model>.decoder.yml names them: use -c");
  const bool two_files = decoding.force_decode && !corpus.tsv;
  check(input.size() == (two_files ? 2 : 1), "input has {} file{}, must have {}", input.size(),
        input.size() == 1 ? "" : "s",
        corpus.tsv  ? "1 with tsv"
        : two_files ? "2 with force-decode: the source, and what translations begin with"
                    : "1: a model has one source");
  check_one_stdin("input", input, "Give one line for both, with a tab between, and tsv");
  if (decoding.force_decode)
    corpus.check_fields(2, "the source, and what translations begin with");
  else
    corpus.check_fields(1, "the source");
}

}  // namespace bough
