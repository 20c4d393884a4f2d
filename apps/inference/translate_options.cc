#include "apps/inference/translate_options.h"

#include "apps/inference/ensemble.h"

namespace bough {

TranslateOptions::TranslateOptions() {
  machine.workspace = 512;
  corpus.max_length = 1000;
  batch.mini_batch = 1;
  batch.maxi_batch = 1;
}

void TranslateOptions::settings(Settings& v) {
  general.settings(v);
  general.accepted_settings(v);
  machine.settings(v);
  v.group("Translation");
  v(models, {"models", 'm'}, "model file (.npz); several: an ensemble", Path{});
  v(weights, "weights",
    "of the models of an ensemble: scores are the sum of weight * log-probability; all 1 if not given",
    Range<double>{0});
  vocabulary.settings(v);
  v(input, {"input", 'i'}, "file with one sentence a line", Path{});
  v(output, {"output", 'o'}, "file for the translations; .gz is packed", Path{Path::output});
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
  check_models("models", models, weights);
  check_sides("vocabs", vocabulary.paths.size(), "<model>.decoder.yml names them: use -c");
  check(input.size() == 1, "input has {} files, must have 1: a model has one source", input.size());
}

}  // namespace bough
