#include "core/base/settings_reader.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "core/base/files.h"

namespace bough {
namespace {

bool looks_like_option(const std::string& token) {
  if (token.size() < 2 || token[0] != '-') return false;
  const size_t first = token[1] == '-' ? 2 : 1;
  return first < token.size() && std::isalpha(uint8_t(token[first])) != 0;
}

bool is_stream(const std::string& path) {
  return path == "-" || path == "stdin" || path == "stdout" || path == "stderr";
}

bool is_none_or_number(const std::string& text) {
  return text == "none" || text.find_first_not_of("0123456789") == std::string::npos;
}

std::string beside(const std::string& source, const std::string& path) {
  if (path.empty() || is_stream(path)) return path;
  return (std::filesystem::path(source).parent_path() / path).lexically_normal().string();
}

/// A scalar or a list of scalars; anything else is no value of any option.
GivenValue value_of(const Yaml& node, const std::string& name, const std::string& where) {
  GivenValue value{{}, node.is_list(), where};
  if (node.is_scalar()) value.items.push_back(node.text);
  if (node.kind == Yaml::Kind::null) value.items.emplace_back();
  check(!node.is_map(), "{}: {} is a map, must be a value or a list of values", where, name);
  for (const Yaml& item : node.items) {
    check(item.is_scalar(), "{}: {} is a list of lists or maps, must be a list of values", where, name);
    value.items.push_back(item.text);
  }
  return value;
}

Yaml as_yaml(const GivenValue& value, bool is_list) {
  if (!is_list) return Yaml(value.items[0]);
  Yaml list = Yaml::list();
  for (const auto& item : value.items) list.items.emplace_back(item);
  return list;
}

}  // namespace

void SettingsReader::read_command_line(const std::vector<std::string>& arguments) {
  for (size_t at = 0; at < arguments.size();) at = read_option(arguments, at);
}

/// Reads the option at `at` and returns where the next one begins.
size_t SettingsReader::read_option(const std::vector<std::string>& arguments, size_t at) {
  const std::string& token = arguments[at];
  if (const Setting* words = rows_.find_word_list(); words && !looks_like_option(token)) {
    store(words->name, {{{token}, true, command_line}, Place::command_line}, true);
    return at + 1;
  }
  check(looks_like_option(token), "{}: '{}' belongs to no option. Give values after an option's name", command_line,
        token);
  std::string name, attached;
  bool has_attached = false;
  if (token[1] == '-') {
    const size_t equals = token.find('=');
    name = token.substr(2, equals == std::string::npos ? equals : equals - 2);
    has_attached = equals != std::string::npos;
    if (has_attached) attached = token.substr(equals + 1);
  } else {
    const Setting* row = rows_.find_short(token.substr(1, 1));
    name = row ? row->name : token.substr(1, 1);
    has_attached = token.size() > 2;
    attached = token.substr(2);
  }
  const Setting* row = rows_.find(name);
  GivenValue value{{}, false, command_line};
  if (has_attached) value.items.push_back(attached);
  at = take_values(row, arguments, at + 1, value);
  if (row)
    store(name, {std::move(value), Place::command_line}, row->is_list);
  else if (!is_ignored(name))
    refuse_or_complain(name, value);
  return at;
}

/// Takes the values of an option that stand from `at` on, and returns where they end.
size_t SettingsReader::take_values(const Setting* row, const std::vector<std::string>& arguments, size_t at,
                                   GivenValue& value) const {
  const bool may_follow = at < arguments.size() && value.items.empty();
  if (!row || row->is_list) {
    if (may_follow && row && !row->has_bare && !is_known_option(arguments[at])) value.items.push_back(arguments[at++]);
    while (at < arguments.size() && !looks_like_option(arguments[at])) value.items.push_back(arguments[at++]);
    value.is_list = row != nullptr;
  } else if (row->is_flag) {
    bool flag = false;
    if (may_follow && parse_value(arguments[at], flag)) value.items.push_back(arguments[at++]);
    if (value.items.empty()) value.items.emplace_back("true");
  } else if (may_follow && !(row->has_bare ? looks_like_option(arguments[at]) : is_known_option(arguments[at]))) {
    value.items.push_back(arguments[at++]);
  }
  if (!row && value.items.empty()) value.items.emplace_back("true");
  if (row && value.items.empty() && row->has_bare) value.items.push_back(row->bare);
  check(!value.items.empty(), "{}: {} has no value, must have {}", command_line, row ? row->name : "",
        row ? row->type : "");
  return at;
}

bool SettingsReader::is_known_option(const std::string& token) const {
  if (!looks_like_option(token)) return false;
  if (token[1] != '-') return token.size() == 2 && rows_.find_short(token.substr(1)) != nullptr;
  return rows_.find(token.substr(2, token.find('=') - 2)) != nullptr;
}

void SettingsReader::read_yaml(const Yaml& file, const std::string& source, bool relative_paths) {
  check(file.is_map(), "{}: this is not a map of options, must have a line 'option: value' for each", source);
  bool own_relative_paths = false;
  if (const Yaml* own = file.find("relative-paths"); own && own->is_scalar())
    parse_value(own->text, own_relative_paths);
  const std::string relative_to = relative_paths || own_relative_paths ? source : "";
  ++files_;
  for (const auto& [name, node] : file.entries) {
    const std::string where = fmt::format("{} line {}", source, node.line);
    if (is_ignored(name)) continue;
    GivenValue value = value_of(node, name, where);
    const Setting* row = rows_.find(name);
    if (row && row->is_command_line && says(value.items, "")) continue;
    check(!row || !row->is_command_line, "{}: {} must be given on the command line, not in a file", where, name);
    if (!row) {
      refuse_or_complain(name, value);
      continue;
    }
    if (node.kind == Yaml::Kind::null && row->is_list) value.items.clear();
    store(name, {std::move(value), Place::file, false, files_, relative_to}, false);
  }
}

void SettingsReader::give(const Setting& row, std::vector<std::string> items) {
  GivenValue value{std::move(items), row.is_list, command_line};
  row.set(value);
  store(row.name, {std::move(value), Place::command_line}, false);
}

bool SettingsReader::is_ignored(const std::string& name) const {
  return std::find(tables_.ignored.begin(), tables_.ignored.end(), name) != tables_.ignored.end();
}

void SettingsReader::store(const std::string& name, Given given, bool join_lists) {
  auto [entry, is_new] = given_.try_emplace(name);
  if (!is_new && join_lists && entry->second.place == given.place) {
    auto& items = entry->second.value.items;
    items.insert(items.end(), given.value.items.begin(), given.value.items.end());
  } else if (is_new || given.place >= entry->second.place) {
    entry->second = std::move(given);
  }
}

void SettingsReader::refuse_or_complain(const std::string& name, const GivenValue& value) {
  const RefusedOption* known = nullptr;
  for (const RefusedOption& refused : tables_.refused) {
    if (refused.name != name) continue;
    if (says(value.items, refused.resting)) return;
    known = &refused;
  }
  problems_.push_back(known ? fmt::format("{}: {} {}", value.where, name, known->reason) : unknown(name, value.where));
}

std::string SettingsReader::unknown(const std::string& name, const std::string& where) const {
  std::string text = fmt::format("{}: unknown option '{}'", where, name);
  for (const auto& [program, names] : tables_.others)
    if (std::find(names.begin(), names.end(), name) != names.end())
      return fmt::format("{}: '{}' is an option of {}, not of {}. Remove it", where, name, program, tables_.program);
  const Setting* best = nullptr;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const Setting& row : rows_.rows()) {
    if (row.is_nameless) continue;
    const size_t distance = edit_distance(name, row.name);
    if (distance < best_distance) {
      best = &row;
      best_distance = distance;
    }
  }
  if (best) return text + fmt::format("; did you mean '{}'?", best->name);
  return text + fmt::format(". {} --help lists them all", tables_.program);
}

void SettingsReader::apply() {
  if (!problems_.empty()) {
    std::string all;
    for (const auto& problem : problems_) all += (all.empty() ? "" : "\n") + problem;
    fail("{}", all);
  }
  settle_rivals();
  settle_file_names();
  settle_truth_values();
  for (const Setting& row : rows_.rows())  // typed here, so that an alias's own value is checked too
    if (auto it = given_.find(row.name); it != given_.end()) row.set(it->second.value);
  expand_aliases();
  for (const Setting& row : rows_.rows())
    if (auto it = given_.find(row.name); it != given_.end()) row.set(it->second.value);
}

bool SettingsReader::asks_for_something(const Rivals& rivals) const {
  const auto& items = given_.find(rivals.winner)->second.value.items;
  if (items.empty()) return false;
  bool flag = false, resting = false;
  if (parse_value(rivals.resting, resting) && parse_value(items[0], flag)) return flag != resting;
  return rivals.resting.empty() || items[0] != rivals.resting;
}

void SettingsReader::settle_rivals() {
  for (const Rivals& rivals : tables_.rivals) {
    const auto winner = given_.find(rivals.winner), loser = given_.find(rivals.loser);
    if (winner == given_.end() || loser == given_.end() || !asks_for_something(rivals)) continue;
    const auto rank = [](const Given& given) { return std::pair(given.place, given.file); };
    if (rank(winner->second) > rank(loser->second)) given_.erase(loser);
  }
}

/// Variables first: what they hold may be an absolute path.
void SettingsReader::settle_file_names() {
  const bool interpolates = is_true("interpolate-env-vars");
  for (auto& [name, given] : given_) {
    const Setting* row = rows_.find(name);
    if (!row || !row->is_path) continue;
    for (std::string& item : given.value.items) {
      if (row->is_path_first && (&item != &given.value.items.front() || says({item}, "false"))) break;
      if (row->is_path_or_field && is_none_or_number(item)) continue;
      if (interpolates) item = interpolate_environment(name, item);
      if (given.relative_to.empty()) continue;
      const std::string path = beside(given.relative_to, item);
      if (!row->is_path_or_words || file_exists(path)) item = path;
    }
  }
}

/// A number given as a truth value is 1 or 0, as Marian reads it.
void SettingsReader::settle_truth_values() {
  for (auto& [name, given] : given_) {
    const Setting* row = rows_.find(name);
    if (!row || !row->is_number) continue;
    for (std::string& item : given.value.items) {
      bool flag = false;
      if (item.empty() || std::isalpha(uint8_t(item[0])) == 0 || !parse_value(item, flag)) continue;
      const std::string bare =
          row->has_bare && row->bare != "1" ? fmt::format("; the option without a value is {}", row->bare) : "";
      const std::string text = fmt::format("is '{}', read as {}, as Marian does{}", item, flag ? 1 : 0, bare);
      truth_values_.push_back({Remark::warning, fmt::format("{} {}", name, text), {}});
      item = flag ? "1" : "0";
    }
  }
}

std::vector<Remark> SettingsReader::remarks() const {
  std::vector<Remark> all = truth_values_;
  for (const Setting& row : rows_.rows()) {
    const auto it = given_.find(row.name);
    if (it == given_.end()) continue;
    for (Remark remark : row.remarks) {
      if (!remark.applies(it->second.value.items)) continue;
      remark.text = fmt::format("{} {}", row.name, remark.text);
      all.push_back(std::move(remark));
    }
  }
  return all;
}

void SettingsReader::expand_aliases() {
  for (const AliasExpansion& alias : tables_.aliases) {
    const auto it = given_.find(alias.name);
    if (it == given_.end()) continue;
    const auto& items = it->second.value.items;
    if (std::find(items.begin(), items.end(), alias.value) != items.end() ||
        (alias.value == "true" && is_true(alias.name)))
      expand(alias, it->second.place, it->second.value.where);
  }
}

void SettingsReader::expand(const AliasExpansion& alias, Place place, const std::string& where) {
  const std::string origin = fmt::format("{} ({} {})", where, alias.name, alias.value);
  for (const auto& [name, text] : alias.settings) {
    auto [entry, is_new] = given_.try_emplace(std::string(name));
    const Given& before = entry->second;
    const bool yields = before.through_alias ? before.place <= place : before.place < place;
    if (!is_new && !yields) continue;
    const Yaml node = parse_yaml(std::string(text), origin);
    entry->second = {value_of(node, std::string(name), origin), place, true, 0, ""};
  }
}

const GivenValue* SettingsReader::find(std::string_view name) const {
  const auto it = given_.find(name);
  return it == given_.end() ? nullptr : &it->second.value;
}

bool SettingsReader::is_true(std::string_view name) const {
  const GivenValue* value = find(name);
  bool flag = false;
  return value && value->items.size() == 1 && parse_value(value->items[0], flag) && flag;
}

GivenNames SettingsReader::given() const {
  GivenNames names;
  for (const auto& [name, value] : given_) names.insert(name);
  return names;
}

Yaml SettingsReader::minimal() const {
  Yaml out = Yaml::map();
  for (const Setting& row : rows_.rows()) {
    const auto it = given_.find(row.name);
    if (it == given_.end() || it->second.through_alias || row.is_transient) continue;
    out.set(row.name, row.is_alias ? as_yaml(it->second.value, row.is_list) : row.get());
  }
  return out;
}

Yaml SettingsReader::expanded() const {
  Yaml out = Yaml::map();
  for (const Setting& row : rows_.rows())
    if (given_.count(row.name) != 0 && !row.is_alias && !row.is_transient) out.set(row.name, row.get());
  return out;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t up = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = up;
    }
  }
  return row[b.size()];
}

std::string interpolate_environment(const std::string& name, std::string text) {
  for (size_t at = 0; (at = text.find("${", at)) != std::string::npos;) {
    const size_t end = text.find('}', at);
    check(end != std::string::npos, "{} is '{}', must have a '}}' after '${{'", name, text);
    const std::string variable = text.substr(at + 2, end - at - 2);
    const char* content = std::getenv(variable.c_str());
    check(content != nullptr, "{} is '{}', but the environment has no {}. Set it, or turn interpolate-env-vars off",
          name, text, variable);
    text.replace(at, end + 1 - at, content);
    at += std::string_view(content).size();
  }
  return text;
}

}  // namespace bough
