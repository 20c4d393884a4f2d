#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bough {

/// How text becomes words before BLEU counts them; the names and results are sacreBLEU's.
enum class Tokenizer {
  none,       ///< split at white space only
  v13a,       ///< "13a": mteval-v13a, splits ASCII punctuation
  intl,       ///< mteval-v14 international: splits Unicode punctuation and symbols
  zh,         ///< splits Chinese characters and punctuation, then as 13a
  character,  ///< "char": every code point is a word
};

/// sacreBLEU's name: "13a".
std::string_view to_string(Tokenizer tokenizer);
/// The tokenizer of that name; nothing if bough has none.
std::optional<Tokenizer> tokenizer_named(std::string_view name);

/// Word splitting of TER (Tercom's), with its own options.
struct TercomTokenization {
  bool normalized = false;      ///< entities and ASCII punctuation as in 13a, and 's
  bool no_punctuation = false;  ///< delete . , ? : ; ! " ( )
  bool asian_support = false;   ///< with one of the two above: also for Asian characters
  bool case_sensitive = false;  ///< otherwise lower case
};

/// Splits lines into words. Keeps its buffers, so one object serves one thread.
class WordSplitter {
 public:
  using Words = std::vector<std::u32string_view>;

  /// The words of `line` (UTF-8); they are valid until the next call.
  const Words& split(Tokenizer tokenizer, std::string_view line, bool lowercase = false);
  /// The same by the rules of TER.
  const Words& split(const TercomTokenization& options, std::string_view line);
  /// Tokenizes the words of the last call once more, as sacreBLEU does with references: "it's."
  /// becomes "it's ." and then "it 's .".
  const Words& split_again(const TercomTokenization& options);

 private:
  void surround_ascii_punctuation();
  void split_periods_and_commas();
  void replace_entities();
  template <class Rewrite>
  void pass(Rewrite rewrite);
  void tokenize_13a();
  void tokenize_intl();
  void tokenize_zh();
  void tokenize_char();
  void normalize_tercom();
  void tokenize_tercom(const TercomTokenization& options);

  std::u32string text_, scratch_;
  Words words_;
};

}  // namespace bough
