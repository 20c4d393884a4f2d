#include "core/base/yaml.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "core/base/error.h"
#include "core/base/settings.h"

namespace bough {
namespace {

constexpr size_t most_bytes = size_t{16} << 20;  // of a file

/// Takes in a document without keeping it, but for where it begins.
class Passing : public YAML::EventHandler {
 public:
  YAML::Mark start;
  void OnDocumentStart(const YAML::Mark& mark) override { start = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// How many documents there are. At some stray characters (a comma) yaml-cpp finds empty documents without end, and
/// its LoadAll takes all memory: each must begin behind the one before.
int count_documents(const std::string& text) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  Passing document;
  int count = 0;
  for (int last = -1; parser.HandleNextDocument(document); ++count) {
    if (document.start.pos <= last) throw YAML::ParserException(document.start, "a stray character");
    last = document.start.pos;
  }
  return count;
}

/// Copies what yaml-cpp has read. Aliases are copies here, so that a few lines can stand for all memory, or for
/// something without end: what they stand for is bounded.
class Converter {
 public:
  static constexpr int most_levels = 64;

  Converter(const std::string& source, size_t text_bytes) : source_(source), bytes_left_(text_bytes + alias_bytes) {}

  Yaml convert(const YAML::Node& node) {
    Yaml out;
    out.line = node.Mark().line + 1;
    check(++depth_ <= most_levels,
          "{} line {}: more than {} levels, one inside the other; is an alias inside its anchor?", source_, out.line,
          most_levels);
    take(node_bytes, out.line);
    if (node.IsScalar()) {
      take(node.Scalar().size(), out.line);
      out.kind = Yaml::Kind::scalar;
      out.text = node.Scalar();
    } else if (node.IsSequence()) {
      out.kind = Yaml::Kind::list;
      for (const auto& item : node) out.items.push_back(convert(item));
    } else if (node.IsMap()) {
      convert_map(node, out);
    }
    --depth_;
    return out;
  }

 private:
  static constexpr size_t alias_bytes = size_t{1} << 18, node_bytes = 1;

  void convert_map(const YAML::Node& node, Yaml& out) {
    out.kind = Yaml::Kind::map;
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const int line = entry.first.Mark().line + 1;
      check(entry.first.IsScalar(), "{} line {}: a key must be plain text", source_, line);
      const std::string key = entry.first.Scalar();
      take(key.size(), line);
      check(seen.insert(key).second, "{} line {}: '{}' is given twice, must be given once. Remove one", source_, line,
            key);
      out.entries.emplace_back(key, convert(entry.second));
      out.entries.back().second.line = line;
    }
  }
  void take(size_t bytes, int line) {
    check(bytes <= bytes_left_,
          "{} line {}: its aliases stand for far more than the text itself; write it without them", source_, line);
    bytes_left_ -= bytes;
  }

  const std::string& source_;
  size_t bytes_left_;
  int depth_ = 0;
};

/// yaml-cpp leaves a carriage return, and what begins or ends a document, as they are: neither is text when it is read
/// again.
void emit_text(YAML::Emitter& out, const std::string& text) {
  if (text.find('\r') != text.npos || text.starts_with("---") || text.starts_with("...")) out << YAML::DoubleQuoted;
  out << text;
}

void emit(YAML::Emitter& out, const Yaml& value) {
  switch (value.kind) {
    case Yaml::Kind::null:
      out << YAML::Null;
      break;
    case Yaml::Kind::scalar:
      emit_text(out, value.text);
      break;
    case Yaml::Kind::list:
      if (value.items.empty()) out << YAML::Flow;
      out << YAML::BeginSeq;
      for (const auto& item : value.items) emit(out, item);
      out << YAML::EndSeq;
      break;
    case Yaml::Kind::map:
      if (value.entries.empty()) out << YAML::Flow;
      out << YAML::BeginMap;
      for (const auto& [key, entry] : value.entries) {
        out << YAML::Key;
        emit_text(out, key);
        out << YAML::Value;
        emit(out, entry);
      }
      out << YAML::EndMap;
      break;
  }
}

template <class T>
T get(const Yaml& map, std::string_view key, const char* what) {
  const Yaml* entry = map.find(key);
  check(entry != nullptr, "{} is missing", key);
  T value{};
  check(entry->is_scalar() && parse_value(entry->text, value), "{} is '{}', must be {}", key, entry->text, what);
  return value;
}

}  // namespace

Yaml::Yaml(double value) : Yaml(format_value(value)) {}

Yaml Yaml::map() {
  Yaml out;
  out.kind = Kind::map;
  return out;
}

Yaml Yaml::list(std::vector<Yaml> items) {
  Yaml out;
  out.kind = Kind::list;
  out.items = std::move(items);
  return out;
}

Yaml& Yaml::set(std::string_view key, Yaml value) {
  kind = Kind::map;
  for (auto& [name, entry] : entries)
    if (name == key) {
      entry = std::move(value);
      return *this;
    }
  entries.emplace_back(key, std::move(value));
  return *this;
}

const Yaml* Yaml::find(std::string_view key) const {
  for (const auto& [name, entry] : entries)
    if (name == key) return &entry;
  return nullptr;
}

int64_t Yaml::get_int(std::string_view key) const { return get<int64_t>(*this, key, "a whole number"); }
uint64_t Yaml::get_unsigned(std::string_view key) const { return get<uint64_t>(*this, key, "a whole number from 0"); }
double Yaml::get_double(std::string_view key) const { return get<double>(*this, key, "a number"); }
bool Yaml::get_bool(std::string_view key) const { return get<bool>(*this, key, "true or false"); }

bool Yaml::operator==(const Yaml& other) const {
  return kind == other.kind && text == other.text && items == other.items && entries == other.entries;
}

Yaml parse_yaml(const std::string& text, const std::string& source) {
  try {
    const int documents = count_documents(text);
    if (documents == 0) return Yaml::map();
    check(documents == 1, "{}: this is {} YAML documents, must be one", source, documents);
    const Yaml out = Converter(source, text.size()).convert(YAML::Load(text));
    return out.kind == Yaml::Kind::null ? Yaml::map() : out;
  } catch (const YAML::DeepRecursion& e) {
    fail("{} line {}: lists and maps more than {} levels deep, must be lines 'option: value'", source, e.mark.line + 1,
         Converter::most_levels);
  } catch (const YAML::Exception& e) {
    fail("{} line {}: this is not YAML ({}), must be lines 'option: value'", source, e.mark.line + 1, e.msg);
  }
}

Yaml read_yaml_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  check(in.is_open() && !std::filesystem::is_directory(path),
        "{}: this file cannot be read. Check its name and permissions", path);
  std::string text(most_bytes + 1, '\0');
  in.read(text.data(), std::streamsize(text.size()));
  text.resize(size_t(in.gcount()));
  check(text.size() <= most_bytes, "{}: this file is larger than {} MiB, must be YAML with options", path,
        most_bytes >> 20);
  return parse_yaml(text, path);
}

std::string format_yaml(const Yaml& value) {
  YAML::Emitter out;
  out.SetIndent(2);
  emit(out, value);
  return std::string(out.c_str()) + "\n";
}

}  // namespace bough
