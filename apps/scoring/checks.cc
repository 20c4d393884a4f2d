// Which options of bough-score go together.
#include <fmt/format.h>

#include <algorithm>

#include "apps/scoring/options.h"

namespace bough {
namespace {

void require(bool ok, const std::string& message) {
  if (!ok) throw ScoreError(1, message);
}

bool asks_for(const ScoreOptions& options, const std::string& metric) {
  return std::ranges::find(options.metric_names, metric) != options.metric_names.end();
}

/// The tokenizer that sacreBLEU uses for a target language unless one is given.
std::string tokenizer_for(const std::string& language) {
  if (language == "zh") return "zh";
  if (language == "ja") return "ja-mecab";
  if (language == "ko") return "ko-mecab";
  return "13a";
}

void choose_tokenizer(ScoreOptions& options) {
  std::string target;
  if (!options.language_pair.empty()) {
    const size_t dash = options.language_pair.find('-');
    require(
        dash != std::string::npos,
        fmt::format("--language-pair: '{}', must be two languages like en-de. Add the other.", options.language_pair));
    target = options.language_pair.substr(dash + 1);
    target = target.substr(0, target.find('-'));
  }
  const std::string name = options.is_tokenizer_given ? options.tokenizer : tokenizer_for(target);
  const auto tokenizer = tokenizer_named(name);
  require(tokenizer.has_value(), fmt::format("--tokenize: '{}' needs a dictionary or a model that bough does not have. "
                                             "Use char or 13a, or tokenize the files yourself and give -tok none.",
                                             name));
  options.bleu.tokenizer = *tokenizer;
}

}  // namespace

void check_score_options(ScoreOptions& options) {
  require(options.refused.empty(), options.refused + ".");
  require(!options.references.empty(), "bough-score: no references, must be one or more files. Name them before -i.");
  require(options.reference_fields == 1 || options.references.size() == 1,
          fmt::format("--num-refs: {} reference files, must be one with tab-separated references. "
                      "Give one file, or leave --num-refs away.",
                      options.references.size()));
  options.bleu.effective_order = options.is_sentence_level;
  if (options.is_sentence_level) {
    require(options.metrics().size() == 1, "--sentence-level: several metrics, must be one. Run once for each.");
    require(options.inputs.size() <= 1, "--sentence-level: several systems, must be one. Run once for each.");
    require(!options.with_confidence && options.paired() == PairedTest::none,
            "--sentence-level: asked for with a statistical test, must be without. Leave one "
            "away.");
  }
  require(options.width >= 0 && options.width <= 64,
          fmt::format("--width: {} decimals, must be 0 to 64.", options.width));
  const ChrfOptions& chrf = options.chrf;
  require(!asks_for(options, "chrf") ||
              (chrf.char_order >= 0 && chrf.word_order >= 0 && chrf.char_order + chrf.word_order > 0 &&
               chrf.char_order <= 1000 && chrf.word_order <= 1000),
          fmt::format("--chrf-char-order, --chrf-word-order: {} and {}, must be 0 to 1000, not "
                      "both 0.",
                      chrf.char_order, chrf.word_order));
  if (options.with_confidence && options.confidence_samples == 0) options.with_confidence = false;
  if (options.bootstrap_samples == 0) options.bootstrap_samples = 1000;
  if (options.randomisation_trials == 0) options.randomisation_trials = 10000;
  for (const int count : {options.confidence_samples, options.bootstrap_samples, options.randomisation_trials})
    require(count >= 0, fmt::format("bough-score: {} samples, must be 1 or more.", count));
  if (asks_for(options, "bleu")) choose_tokenizer(options);
  if (options.with_details) options.format = ScoreFormat::text;
}

}  // namespace bough
