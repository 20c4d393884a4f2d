#include "apps/tool_options.h"

namespace bough {

void VocabOptions::settings(Settings& v) {
  v.group("Vocabulary");
  v(max_size, {"max-size", 'm'}, "keep at most this many entries, </s> and <unk> included; 0 = all", Range<int64_t>{0});
  v.group("General");
  general.information_settings(v);
}

void AverageOptions::settings(Settings& v) {
  v.group("Models");
  v(files, "files", "the model to write, then those to read; the name of the option may be left out", Path{});
  v.takes_words();
  v(is_export, "export",
    "fold the scales of deepnorm, branchnorm and admin into the weights: a plain post-ln Transformer that Marian, "
    "CTranslate2 and others read. Of one model it only converts");
  v.group("General");
  general.information_settings(v);
}

void AverageOptions::validate() const {
  check(files.size() >= 2, "{} file{} given, must be OUT.npz and one IN.npz or more. See --help", files.size(),
        files.size() == 1 ? "" : "s");
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
