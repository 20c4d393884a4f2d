#include "apps/training/embedding_vectors.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/base/io.h"
#include "core/base/log.h"
#include "core/base/settings.h"
#include "layers/parameter_names.h"

namespace bough {
namespace {

/// The next word of `text`, which loses it; "" at the end.
std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \r"), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(" \r"));
  text.remove_prefix(word.size());
  return word;
}

/// The row of a vector's word; none: it has none.
std::optional<int64_t> row_of(std::string_view word, bool are_numbers, const Vocabulary& vocabulary,
                              const std::string& where) {
  int64_t row = 0;
  if (are_numbers)
    check(parse_value(word, row) && row >= 0, "{}: '{}' is no number of an entry, as the first line's is", where, word);
  else
    row = vocabulary.id(word);
  const int32_t unknown = vocabulary.special().unknown;
  const bool is_there = are_numbers ? row < vocabulary.size() : row != unknown || word == vocabulary.piece(unknown);
  return is_there ? std::optional(row) : std::nullopt;
}

void read_vector(std::string_view text, int64_t width, float* out, const std::string& where) {
  for (int64_t i = 0; i < width; ++i) {
    const std::string_view word = next_word(text);
    double value = 0;
    check(!word.empty(), "{}: a vector of {} numbers, must have {}", where, i, width);
    check(parse_value(word, value) && std::isfinite(float(value)), "{}: '{}' in a vector, must be a number of 32 bits",
          where, word);
    if (out) out[i] = float(value);
  }
  check(next_word(text).empty(), "{}: a vector of more than {} numbers", where, width);
}

void divide_by_norm(std::vector<float>& values) {
  double sum = 0;
  for (const float v : values) sum += double(v) * v;
  if (sum == 0) return;
  for (float& v : values) v = float(v / std::sqrt(sum));
}

}  // namespace

int64_t read_embedding_vectors(const std::string& path, const Vocabulary& vocabulary, int64_t width,
                               std::vector<float>& rows) {
  LineReader reader(path);
  std::string line;
  const auto where = [&] { return fmt::format("embedding-vectors: '{}' line {}", path, reader.line_number()); };
  int64_t entries = 0, columns = 0;
  std::string_view text = reader.next(line) ? std::string_view(line) : "";
  check(parse_value(next_word(text), entries) && parse_value(next_word(text), columns) && next_word(text).empty(),
        "embedding-vectors: '{}' must begin with a line 'entries width'", path);
  check(columns == width, "embedding-vectors: '{}' has vectors of {} numbers, must have dim-emb, {}", path, columns,
        width);
  std::vector<bool> is_taken(size_t(vocabulary.size()));
  bool are_numbers = false;
  while (reader.next(line)) {
    text = line;
    const std::string_view word = next_word(text);
    int64_t number = 0;
    if (reader.line_number() == 2) are_numbers = parse_value(word, number);
    const auto row = row_of(word, are_numbers, vocabulary, where());
    read_vector(text, width, row ? rows.data() + *row * width : nullptr, where());
    if (row) is_taken[size_t(*row)] = true;
  }
  check(reader.line_number() == entries + 1, "embedding-vectors: '{}' has {} vectors, its first line says {}", path,
        reader.line_number() - 1, entries);
  return std::count(is_taken.begin(), is_taken.end(), true);
}

void place_embedding_vectors(const EmbeddingOptions& options,
                             const std::vector<std::shared_ptr<Vocabulary>>& vocabularies, const ParameterPart& part,
                             std::vector<float>& values) {
  namespace names = parameter_names;
  const bool is_target = part.name == names::target_embedding;
  if (options.vectors.empty()) return;
  if (!is_target && part.name != names::source_embedding && part.name != names::embedding) return;
  const std::string& path = options.vectors[is_target ? 1 : 0];
  const Vocabulary& vocabulary = *vocabularies[is_target ? 1 : 0];
  const int64_t found = read_embedding_vectors(path, vocabulary, part.cols, values);
  if (options.normalize) divide_by_norm(values);
  log::info("[train] {} of {} rows of {} begin with vectors of '{}'", found, vocabulary.size(), part.name, path);
  if (found == 0) log::warn("[train] embedding-vectors: '{}' has none of the words of '{}'", path, vocabulary.path());
}

}  // namespace bough
