// Any bytes as hypothesis and reference: readers, tokenizers and metrics must neither crash nor
// hang, and their statistics must make sense. Built by the preset `fuzz` (libFuzzer).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/unicode.h"
#include "data/metrics/metric.h"

using namespace bough;

namespace {

/// The metric and its options that a byte chooses.
Metric choose_metric(unsigned bits) {
  const auto bit = [&](int i) { return (bits >> i & 1) != 0; };
  switch (bits % 3) {
    case 0: {
      BleuOptions bleu;
      bleu.tokenizer = static_cast<Tokenizer>(bits / 3 % 5);
      bleu.lowercase = bit(6);
      return bleu;
    }
    case 1:
      return ChrfOptions{6, bit(3) ? 2 : 0, 2, bit(4), bit(5), bit(6)};
    default:
      return TerOptions{bit(3), bit(4), bit(5), bit(6)};
  }
}

void require(bool ok) {
  if (!ok) std::abort();
}

void check_text(std::string_view text) {
  const std::u32string decoded = unicode::decode_utf8(text);
  const bool is_valid = !unicode::find_invalid_utf8(text);
  require((unicode::encode_utf8(decoded) == text) >= is_valid);
  if (is_valid) require(unicode::encode_utf8(unicode::rstrip(decoded)) == unicode::rstrip_utf8(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Metric metric = choose_metric(data[0]);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t middle = std::min(text.find('\n'), text.size());
  const std::string_view hypothesis = text.substr(0, middle), reference = text.substr(middle);
  check_text(text);
  std::vector<double> statistics(statistics_width(metric));
  auto counter = make_counter(metric);
  std::visit(
      [&](auto& c) {
        c.set_references(std::vector{reference, hypothesis});
        c.count(hypothesis, statistics);
      },
      counter);
  for (const double value : statistics) require(value >= 0);
  require(score_from(statistics, metric) >= 0);
  return 0;
}
