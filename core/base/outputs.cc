#include "core/base/outputs.h"

#include <algorithm>

#include "core/base/io.h"
#include "core/base/yaml.h"

namespace bough {
namespace {

std::vector<std::string> file_names(const Setting& row) {
  const Yaml value = row.get();
  std::vector<std::string> names;
  if (value.is_scalar()) names.push_back(value.text);
  for (const Yaml& item : value.items) names.push_back(item.text);
  if (row.is_path_first) names.resize(std::min<size_t>(names.size(), 1));
  if (!(row.name == "output")) std::erase(names, "");  // standard output
  return names;
}

bool is_written(const Setting& row) {
  return row.is_path && (row.path_use == Path::output || row.path_use == Path::log);
}

}  // namespace

void check_output(const Settings& rows, const Setting& output, const std::string& name,
                  const std::vector<std::string>& configurations) {
  for (const std::string& input : configurations) check_not_input(output.name, name, "a configuration", input);
  for (const Setting& other : rows.rows()) {
    const bool may_be_shared = output.path_use == Path::log && other.path_use == Path::log;
    if (!other.is_path || other.path_use == Path::argument || other.name == output.name || may_be_shared) continue;
    for (const std::string& input : file_names(other)) check_not_input(output.name, name, other.name, input);
  }
}

void check_outputs(const Settings& rows, const std::vector<std::string>& configurations) {
  for (const Setting& output : rows.rows())
    if (is_written(output))
      for (const std::string& name : file_names(output)) check_output(rows, output, name, configurations);
}

}  // namespace bough
