#pragma once
#include <string>

#include "apps/scoring/corpus.h"

namespace bough {

/// One self-contained page for people: scores with confidence bars per system, then the segments
/// with the largest differences, with the words that hypothesis and reference do not share marked.
/// The corpus must have kept segments and text.
std::string format_html(const ScoredCorpus& corpus, const ScoreReport& report, const ScoreOptions& options);

}  // namespace bough
