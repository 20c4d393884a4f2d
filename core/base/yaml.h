#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bough {

/// A YAML value: a scalar kept as text (whoever reads it knows its type), a list, or a map in file
/// order. Read with parse_yaml, written with format_yaml; the same type builds the small state and
/// model files (special:model.yml, *.decoder.yml, *.progress.yml).
struct Yaml {
  enum class Kind { null, scalar, list, map };
  using Entry = std::pair<std::string, Yaml>;

  Kind kind = Kind::null;
  std::string text;            ///< scalar
  std::vector<Yaml> items;     ///< list
  std::vector<Entry> entries;  ///< map
  int line = 0;                ///< where it began in the parsed text, from 1; 0 = built in memory

  Yaml() = default;
  /// Scalars, as parse_yaml gives them back.
  Yaml(std::string scalar) : kind(Kind::scalar), text(std::move(scalar)) {}
  Yaml(const char* scalar) : Yaml(std::string(scalar)) {}
  Yaml(bool value) : Yaml(value ? "true" : "false") {}
  Yaml(int value) : Yaml(int64_t(value)) {}
  Yaml(int64_t value) : Yaml(std::to_string(value)) {}
  Yaml(uint64_t value) : Yaml(std::to_string(value)) {}
  Yaml(double value);  ///< the shortest text that reads back as the same bits
  static Yaml map();
  static Yaml list(std::vector<Yaml> items = {});

  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_list() const { return kind == Kind::list; }
  bool is_map() const { return kind == Kind::map; }

  /// Map entries. set replaces an entry or appends one and returns *this; find gives null when the
  /// key is absent (or this is no map).
  Yaml& set(std::string_view key, Yaml value);
  const Yaml* find(std::string_view key) const;

  /// The entry, converted. Error "<key> is missing" / "<key> is '…', must be …" otherwise.
  int64_t get_int(std::string_view key) const;
  uint64_t get_unsigned(std::string_view key) const;
  double get_double(std::string_view key) const;
  bool get_bool(std::string_view key) const;

  bool operator==(const Yaml& other) const;  ///< lines do not count
};

/// source names the text in errors ("config.yml"). Error "<source> line N: …" for anything that is
/// not YAML, a key given twice, an alias inside its own anchor, more than 64 levels, or aliases that stand for far more
/// than the text is. An empty document is an empty map.
Yaml parse_yaml(const std::string& text, const std::string& source);

/// Reads and parses a file. Error when it cannot be read, or is larger than 16 MiB.
Yaml read_yaml_file(const std::string& path);

/// Block style, one key a line, ends with a newline; parse_yaml(format_yaml(y)) == y.
std::string format_yaml(const Yaml& value);

}  // namespace bough
