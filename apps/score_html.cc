#include "apps/score_html.h"
namespace bough {
std::string format_html(const ScoredCorpus&, const ScoreReport&, const ScoreOptions&) { return ""; }
}  // namespace bough
