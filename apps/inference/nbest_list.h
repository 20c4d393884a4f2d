#pragma once
#include <cstdint>
#include <string>

namespace bough {

/// A line of an n-best list: `number ||| text ||| features [||| ...]`.
struct NBestLine {
  int64_t number = 0;  ///< of the sentence, from 0
  std::string text;
};

/// Throws Error, naming path and line, where the line is not of that form.
NBestLine parse_nbest_line(const std::string& line, const std::string& path, int64_t line_number);

/// The line with `feature= score ` behind its features, 6 significant digits, and `alignment`, unless empty, in a field
/// before them, as Marian writes it.
std::string with_feature(const std::string& line, const std::string& feature, double score,
                         const std::string& alignment = "");

}  // namespace bough
