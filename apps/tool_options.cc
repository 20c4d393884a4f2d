#include "apps/tool_options.h"

namespace bough {

void VocabOptions::settings(Settings& v) {
  v.group("Vocabulary");
  v(max_size, {"max-size", 'm'}, "keep at most this many entries, </s> and <unk> included, at least 2; 0 = all",
    Range<int64_t>{0});
  v.group("General");
  general.information_settings(v);
}

void VocabOptions::validate() const {
  check(max_size != 1, "max-size is 1, must be at least 2, for </s> and <unk>, or 0 for all");
}

void AverageOptions::settings(Settings& v) {
  v.group("Models");
  v(files, "files", "the model to write, then those to read; the name of the option may be left out", Path{});
  v.takes_words();
  v(is_export, "export",
    "fold the scales of deepnorm, branchnorm and admin into the weights: a plain post-ln Transformer that Marian, "
    "CTranslate2 and others read. Of one model it only converts");
  v(is_float16, "float16", "write numbers of 16 bits: half the file, read like any other");
  v(is_int8_export, "export-int8",
    "the same as a model for CPUs, OUT.bin, of Marian's type intgemm8: weights in 8 bits, for gemm-precision int8");
  v(calibration.corpus, "calibrate",
    "with export-int8: source text, some hundred lines, that the model translates to find out how large activations "
    "are; the file then has their multipliers, for gemm-precision int8shiftAlphaAll, too",
    Path{});
  v(calibration.vocabularies, {"vocabs", 'v'}, "with calibrate: the vocabularies, source and target", Path{});
  v.group("General");
  general.information_settings(v);
}

void AverageOptions::validate() const {
  check(files.size() >= 2, "{} file{} given, must be OUT.npz and one IN.npz or more. See --help", files.size(),
        files.size() == 1 ? "" : "s");
  check(is_int8_export || calibration.corpus.empty(),
        "calibrate is for models in 8 bits, and this one is none. Add --export-int8, or leave it out");
  check(calibration.corpus.empty() == calibration.vocabularies.empty(),
        "calibrate and vocabs must be given together, or none of them. {}",
        calibration.corpus.empty() ? "Leave vocabs out" : "Add --vocabs SOURCE TARGET");
  check(!is_int8_export || !is_float16, "float16 and export-int8 are two types of one file. Leave one of them out");
  check(!is_int8_export || files[0].ends_with(".bin"),
        "OUT is '{}', must end in .bin with export-int8: programs go by the name", files[0]);
  check(is_int8_export || !files[0].ends_with(".bin"),
        "OUT is '{}', which only export-int8 writes. Call it .npz, or add --export-int8", files[0]);
  check(is_int8_export || files[0].ends_with(".npz"), "OUT is '{}', must end in .npz: programs go by the name",
        files[0]);
}

void ReportOptions::settings(Settings& v) {
  v.group("Report");
  v(files, "files",
    "metrics of the runs to show, model.npz.metrics.jsonl, or model.npz for short; the name of the option may be left "
    "out",
    Path{});
  v.takes_words();
  v(output, {"output", 'o'}, "the page to write; stdout is standard output", Path{Path::output});
  v.group("General");
  general.information_settings(v);
}

void ReportOptions::validate() const {
  check(!files.empty(), "no file given, must be model.npz.metrics.jsonl of one run or more. See --help");
}

}  // namespace bough
