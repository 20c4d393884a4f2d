#include "apps/training/validation_metric.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace bough {
namespace {

using Source = ValidationMetric::Source;

double per_sentence(const ValidationCosts& c) { return c.sum / double(c.sentences); }
double per_word(const ValidationCosts& c) { return c.sum / double(c.labels); }
double total(const ValidationCosts& c) { return c.sum; }
double perplexity(const ValidationCosts& c) { return std::exp(per_word(c)); }

ValidationMetric text(std::string_view name, Source source, const MetricKind& kind) {
  return {.name = name, .source = source, .is_lower_better = kind.is_lower_better, .text_kind = &kind};
}

std::vector<ValidationMetric> all_metrics() {
  std::vector<ValidationMetric> all = {{"cross-entropy", Source::costs, true, per_sentence},
                                       {"ce-mean", Source::costs, true, per_sentence},
                                       {"ce-mean-words", Source::costs, true, per_word},
                                       {"ce-sum", Source::costs, true, total},
                                       {"perplexity", Source::costs, true, perplexity}};
  for (const MetricKind& kind : metric_kinds()) all.push_back(text(kind.name, Source::translations, kind));
  const MetricKind& bleu = kind_of(BleuOptions{});
  all.push_back(text("bleu-detok", Source::translations, bleu));
  all.push_back(text("bleu-segmented", Source::pieces, bleu));
  all.push_back({"translation", Source::translation_script});
  all.push_back({"valid-script", Source::model_script});
  return all;
}

}  // namespace

const std::vector<ValidationMetric>& validation_metrics() {
  static const std::vector<ValidationMetric> all = all_metrics();
  return all;
}

const ValidationMetric& validation_metric(std::string_view name) {
  const auto found = std::ranges::find(validation_metrics(), name, &ValidationMetric::name);
  assert(found != validation_metrics().end());
  return *found;
}

}  // namespace bough
