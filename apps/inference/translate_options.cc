#include "apps/inference/translate_options.h"

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
  machine.accepted_settings(v);
  v.group("Translation");
  v(models, {"models", 'm'}, "model file (.npz)", Path{});
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
  vocabulary.validate();
  check(!models.empty(), "models is empty, must name a model. Use -m model.npz, or -c model.npz.decoder.yml");
  check(models.size() == 1, "models has {} files, must have 1: ensembles are not supported yet", models.size());
  check(models[0].ends_with(".npz"), "models is '{}', must end in .npz", models[0]);
  check_sides("vocabs", vocabulary.paths.size(), "<model>.decoder.yml names them: use -c");
  check(input.size() == 1, "input has {} files, must have 1: a model has one source", input.size());
}

}  // namespace bough
