#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/metrics/metric.h"

namespace bough {

/// Cross-entropy of the validation set in nats, and what it is summed over.
struct ValidationCosts {
  double sum = 0;
  int64_t labels = 0;  ///< target tokens, ends of sentence included
  int64_t sentences = 0;
};

/// Something that valid-metrics can name.
struct ValidationMetric {
  enum class Source {
    costs,
    translations,        ///< as text
    pieces,              ///< of translations, one word for each token
    translation_script,  ///< given the translations
    model_script,        ///< given the model
  };

  std::string_view name;  ///< Marian's, in options, logs and file names
  Source source;
  bool is_lower_better = false;
  double (*of_costs)(const ValidationCosts&) = nullptr;  ///< source costs
  const MetricKind* text_kind = nullptr;                 ///< sources translations and pieces

  bool is_script() const { return source == Source::translation_script || source == Source::model_script; }
  bool needs_costs() const { return source == Source::costs; }
  bool needs_parameters() const { return source == Source::model_script; }
  bool needs_translations() const { return source != Source::costs && source != Source::model_script; }
};

/// Every metric: costs, each kind of text metric under its own name, Marian's further names, scripts.
const std::vector<ValidationMetric>& validation_metrics();
/// The row of that name, which must exist.
const ValidationMetric& validation_metric(std::string_view name);

}  // namespace bough
