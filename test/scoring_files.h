#pragma once
// The scoring fixtures of test/scoring_cases: where they are and how they are read.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/io.h"
#include "core/base/unicode.h"
#include "data/metrics/metric.h"
#include "test_paths.h"

namespace scoring {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace bough;

inline fs::path cases() { return fs::path(BOUGH_SOURCE_DIR) / "test" / "scoring_cases"; }

inline json read_json(const fs::path& path) { return json::parse(std::ifstream(path)); }

inline std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The lines of a file without trailing white space, as the command reads them.
inline std::vector<std::string> read_lines(const fs::path& path) {
  LineReader reader(path.string());
  std::vector<std::string> lines;
  for (std::string line; reader.next(line);)
    lines.push_back(unicode::encode_utf8(unicode::rstrip(unicode::decode_utf8(line))));
  return lines;
}

/// The metric that a fixture's "metric" and "kwargs" (sacreBLEU's API) describe.
inline Metric metric_of(const json& fixture) {
  const json options = fixture.value("kwargs", json::object());
  const bool is_sentence = fixture.contains("sentence_scores");
  if (fixture["metric"] == "BLEU") {
    BleuOptions bleu;
    bleu.tokenizer = *tokenizer_named(options.value("tokenize", "13a"));
    bleu.lowercase = options.value("lowercase", false);
    const std::string smoothing = options.value("smooth_method", "exp");
    bleu.smoothing = smoothing == "none"    ? Smoothing::none
                     : smoothing == "floor" ? Smoothing::floor
                     : smoothing == "add-k" ? Smoothing::add_k
                                            : Smoothing::exp;
    if (options.contains("smooth_value") && !options["smooth_value"].is_null())
      bleu.smooth_value = options["smooth_value"].get<double>();
    bleu.max_order = options.value("max_ngram_order", 4);
    bleu.effective_order = options.value("effective_order", is_sentence);
    return bleu;
  }
  if (fixture["metric"] == "CHRF") {
    ChrfOptions chrf;
    chrf.char_order = options.value("char_order", 6);
    chrf.word_order = options.value("word_order", 0);
    chrf.beta = options.value("beta", 2);
    chrf.whitespace = options.value("whitespace", false);
    chrf.lowercase = options.value("lowercase", false);
    chrf.eps_smoothing = options.value("eps_smoothing", false);
    return chrf;
  }
  return TerOptions{options.value("normalized", false), options.value("no_punct", false),
                    options.value("asian_support", false), options.value("case_sensitive", false)};
}

}  // namespace scoring
