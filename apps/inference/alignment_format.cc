#include "apps/inference/alignment_format.h"

#include <algorithm>
#include <charconv>

#include "core/base/error.h"

namespace bough {
namespace {

std::string format_soft(const SoftAlignment& alignment) {
  std::string text;
  for (const std::vector<double>& shares : alignment) {
    if (!text.empty()) text += ' ';
    for (size_t s = 0; s < shares.size(); ++s) text += fmt::format("{}{:.6g}", s == 0 ? "" : ",", shares[s]);
  }
  return text;
}

}  // namespace

AlignmentFormat AlignmentFormat::parse(const std::string& option) {
  if (option.empty()) return {};
  if (option == "soft") return {Kind::soft};
  if (option == "hard") return {Kind::hard};
  double threshold = 0;
  const char* const end = option.data() + option.size();
  const auto parsed = std::from_chars(option.data(), end, threshold);
  check(parsed.ec == std::errc() && parsed.ptr == end && threshold > 0,
        "alignment is '{}', must be hard, soft, or a share of attention above 0 that source words must have", option);
  return threshold < 1 ? AlignmentFormat{Kind::threshold, threshold} : AlignmentFormat{Kind::hard};
}

std::string format_alignment(const SoftAlignment& alignment, const AlignmentFormat& format) {
  if (format.kind == AlignmentFormat::Kind::soft) return format_soft(alignment);
  std::vector<std::pair<size_t, size_t>> points;  // source, target
  for (size_t t = 0; t < alignment.size(); ++t) {
    const std::vector<double>& shares = alignment[t];
    if (format.kind == AlignmentFormat::Kind::hard)
      points.emplace_back(std::max_element(shares.begin(), shares.end()) - shares.begin(), t);
    else
      for (size_t s = 0; s < shares.size(); ++s)
        if (shares[s] > format.threshold) points.emplace_back(s, t);
  }
  std::sort(points.begin(), points.end());
  std::string text;
  for (const auto& [source, target] : points) text += fmt::format("{}{}-{}", text.empty() ? "" : " ", source, target);
  return text;
}

}  // namespace bough
