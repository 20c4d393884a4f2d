#include "apps/inference/translation_input.h"

#include <algorithm>

namespace bough {

TranslationInput::TranslationInput(const TranslateOptions& options)
    : is_tsv_(options.corpus.tsv),
      used_fields_(options.decoding.force_decode ? 2 : 1),
      fields_(size_t(options.corpus.tsv_fields)) {
  for (const std::string& path : options.input) readers_.emplace_back(path);
}

bool TranslationInput::next(std::string& source, std::string& prefix) {
  const bool has_source = readers_[0].next(source);
  if (readers_.size() == 2)
    check(readers_[1].next(prefix) == has_source,
          "input: {} has more lines than {}, which ends after {}; must be as many", name(has_source ? 0 : 1),
          name(has_source ? 1 : 0), readers_[has_source ? 1 : 0].line_number());
  if (has_source && is_tsv_) split(source, prefix);
  return has_source;
}

void TranslationInput::split(std::string& line, std::string& prefix) const {
  const auto fields = size_t(std::ranges::count(line, '\t')) + 1;
  check(fields == fields_ || (fields_ == 0 && fields >= used_fields_),
        "{}: line {} has {} tab-separated field{}, must have {}{}. Correct the line or tsv-fields", name(0),
        line_number(), fields, fields == 1 ? "" : "s", fields_ == 0 ? "at least " : "",
        fields_ == 0 ? used_fields_ : fields_);
  const size_t tab = line.find('\t');
  if (tab == std::string::npos) return;
  prefix = line.substr(tab + 1, line.find('\t', tab + 1) - tab - 1);
  line.resize(tab);
}

void TranslationInput::stop() {
  for (LineReader& reader : readers_) reader.stop();
}

std::string TranslationInput::name(size_t side) const {
  const std::string& path = readers_[std::min(side, readers_.size() - 1)].path();
  return is_stdin(path) ? "standard input" : "'" + path + "'";
}

}  // namespace bough
