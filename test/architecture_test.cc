// The dependency picture of docs/architecture.md, as data and as a test.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "test/catch.h"
#include "test_paths.h"

namespace fs = std::filesystem;

namespace {

// A folder may include itself and these; nothing else. "apps" is its mains and what they share.
const std::map<std::string, std::set<std::string>> may_include = {
    {"core/base", {}},
    {"core", {"core/base"}},
    {"core/cpu", {"core", "core/base"}},
    {"cuda", {"core", "core/base"}},
    {"layers", {"core", "core/base"}},
    {"optim", {"core", "core/base"}},
    {"data", {"core/base"}},
    {"data/metrics", {"core/base"}},
    {"apps/inference", {"core/base", "core", "core/cpu", "cuda", "layers", "data"}},
    {"apps/training", {"core/base", "core", "layers", "optim", "data", "data/metrics", "apps/inference"}},
    {"apps/scoring", {"core/base", "data/metrics"}},
    {"apps/report", {"core/base"}},
    {"apps", {"core/base", "core", "data", "apps/inference", "apps/training", "apps/scoring", "apps/report"}},
};
// Where a backend comes from: what else is in these folders only they know. One file chooses between them.
const std::map<std::string, std::string> factories = {{"core/cpu", "core/cpu/factory.h"}, {"cuda", "cuda/factory.h"}};
// A library is included by one file, so that it can be replaced there.
const std::map<std::string, std::string> one_home = {
    {"yaml-cpp/", "core/base/yaml.cc"},          {"Eigen/", "core/cpu/gemm.cc"},       {"zip.h", "core/base/npz.cc"},
    {"sentencepiece_", "data/sentencepiece.cc"}, {"unicode/", "core/base/unicode.cc"}, {"cublasLt.h", "cuda/gemm.cc"},
    {"mpi.h", "core/mpi_communicator.cc"},       {"nccl.h", "cuda/nccl.cc"},
};

struct Include {
  fs::path file;
  int line;
  std::string path;
};

/// Of the files in `folder` itself, not of those in folders of their own further down.
std::vector<Include> includes_of(const std::string& folder) {
  static const std::regex directive(R"(\s*#include\s*["<]([^">]+)[">].*)");
  std::vector<Include> found;
  for (const auto& entry : fs::directory_iterator(fs::path(BOUGH_SOURCE_DIR) / folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path());
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      std::smatch m;
      if (std::regex_match(line, m, directive))
        found.push_back({fs::relative(entry.path(), BOUGH_SOURCE_DIR), number, m[1]});
    }
  }
  return found;
}

/// "a/{b,c}" as a/b and a/c.
std::vector<std::string> expand(const std::string& path) {
  const size_t open = path.find('{'), close = path.find('}');
  if (open == path.npos || close == path.npos) return {path};
  std::vector<std::string> all;
  std::stringstream names(path.substr(open + 1, close - open - 1));
  for (std::string name; std::getline(names, name, ',');)
    all.push_back(path.substr(0, open) + name + path.substr(close + 1));
  return all;
}

/// Whether the tree has it: a file, its stem, a folder, or something that fits a * in the last part.
bool exists(const std::string& path) {
  const fs::path whole = fs::path(BOUGH_SOURCE_DIR) / path;
  if (fs::exists(whole)) return true;
  if (!fs::is_directory(whole.parent_path())) return false;
  const std::string name = whole.filename().string();
  const size_t star = std::min(name.find('*'), name.size());
  const std::string begin = star < name.size() ? name.substr(0, star) : name + ".";
  const std::string end = star < name.size() ? name.substr(star + 1) : "";
  return std::ranges::any_of(fs::directory_iterator(whole.parent_path()), [&](const auto& entry) {
    const std::string found = entry.path().filename().string();
    return found.starts_with(begin) && found.ends_with(end);
  });
}

/// Types that a file defines in namespaces that have names, with those.
std::set<std::string> types_of(const fs::path& file) {
  static const std::regex space(R"(namespace ?([\w:]*) \{)"), end(R"(\}  // namespace.*)"),
      type(R"((?:template <.*> ?)?(?:struct|class|enum class|enum) (\w+)(?: final)?(?: : .*)? \{.*)");
  std::set<std::string> found;
  std::vector<std::string> spaces;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::smatch m;
    if (std::regex_match(line, m, space)) {
      spaces.push_back(m[1]);
    } else if (std::regex_match(line, m, end) && !spaces.empty()) {
      spaces.pop_back();
    } else if (std::regex_match(line, m, type) && std::ranges::count(spaces, "") == 0) {
      std::string name;
      for (const std::string& part : spaces) name += part + "::";
      found.insert(name + m[1].str());
    }
  }
  return found;
}

std::string folder_of(const std::string& path) { return fs::path(path).parent_path().string(); }

}  // namespace

TEST_CASE("every folder of sources is in the dependency picture", "[architecture]") {
  for (const char* top : {"apps", "core", "cuda", "data", "layers", "optim"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(BOUGH_SOURCE_DIR) / top)) {
      const std::string file = fs::relative(entry.path(), BOUGH_SOURCE_DIR).string();
      INFO(file);
      if (entry.is_regular_file()) CHECK(may_include.count(folder_of(file)) == 1);
    }
}

TEST_CASE("includes follow the dependency picture", "[architecture]") {
  int arrows = 0;
  for (const auto& [folder, allowed] : may_include) {
    for (const auto& include : includes_of(folder)) {
      const std::string target = folder_of(include.path);
      if (!may_include.count(target)) continue;
      ++arrows;
      INFO(include.file.string() << ":" << include.line << ": " << include.path);
      CHECK((target == folder || allowed.count(target) == 1));
      if (const auto factory = factories.find(target); factory != factories.end() && target != folder) {
        CHECK(include.path == factory->second);
        if (target == "cuda")  // CUDA or not is decided by linking, behind one header
          CHECK(include.file == fs::path("apps/inference/device.cc"));
      }
    }
  }
  CHECK(arrows > 500);  // the directive is still recognised
}

TEST_CASE("every public type has a docstring", "[architecture]") {
  const std::regex type(R"((?:struct|class|enum class|enum) \w+(?: final)?(?: : [\w:<>, ]+)? \{.*)");
  const std::regex comment(R"(\s*//.*|.*///<.*)"), heading("template <.*>");
  int types = 0;
  for (const char* top : {"apps", "core", "cuda", "data", "layers", "optim"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(BOUGH_SOURCE_DIR) / top)) {
      if (entry.path().extension() != ".h") continue;
      std::ifstream in(entry.path());
      std::string before;
      int at = 0;
      for (std::string line; std::getline(in, line);) {
        ++at;
        if (std::regex_match(line, type)) {
          ++types;
          INFO(fs::relative(entry.path(), BOUGH_SOURCE_DIR).string() << ":" << at << ": " << line);
          CHECK((std::regex_match(before, comment) || std::regex_match(line, comment)));
        }
        if (!std::regex_match(line, heading)) before = line;
      }
    }
  CHECK(types > 200);
}

TEST_CASE("numbers are converted by T(x)", "[architecture]") {
  const std::string number = "(u?int(8|16|32|64)?_t|s?size_t|ptrdiff_t|int|unsigned|uInt|char|float|double|bool)";
  const std::regex other("static_cast<(std::)?" + number + R"(>|[=(,<+*/-] *\()" + number + R"(\) ?[\w(])");
  for (const char* top : {"apps", "core", "cuda", "data", "experiments", "layers", "optim", "test"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(BOUGH_SOURCE_DIR) / top)) {
      if (!std::set<std::string>{".h", ".cc", ".cu"}.count(entry.path().extension())) continue;
      std::ifstream in(entry.path());
      int at = 0;
      for (std::string line; std::getline(in, line);) {
        ++at;
        INFO(fs::relative(entry.path(), BOUGH_SOURCE_DIR).string() << ":" << at << ": " << line);
        CHECK_FALSE(std::regex_search(line, other));
      }
    }
}

// Two of one name in one program are one to the linker, which takes the functions of either for both.
TEST_CASE("no two types have one name", "[architecture]") {
  std::map<std::string, std::string> homes;
  for (const char* top : {"apps", "core", "cuda", "data", "experiments", "layers", "optim", "test"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(BOUGH_SOURCE_DIR) / top)) {
      if (!std::set<std::string>{".h", ".cc", ".cu"}.count(entry.path().extension())) continue;
      const std::string file = fs::relative(entry.path(), BOUGH_SOURCE_DIR).string();
      for (const std::string& name : types_of(entry.path())) {
        INFO(name << " in " << file << " and " << homes[name]);
        CHECK(homes[name].empty());
        homes[name] = file;
      }
    }
  CHECK(homes.size() > 250);
}

TEST_CASE("docs/architecture.md lists the arrows of the dependency picture", "[architecture]") {
  static const std::regex arrows(R"(    (\S+) ->(.*))");
  std::ifstream in(fs::path(BOUGH_SOURCE_DIR) / "docs" / "architecture.md");
  std::map<std::string, std::set<std::string>> drawn;
  for (std::string line; std::getline(in, line);)
    if (std::smatch m; std::regex_match(line, m, arrows)) {
      std::stringstream targets(m[2]);
      drawn[m[1]] = {std::istream_iterator<std::string>(targets), {}};
    }
  CHECK(drawn == may_include);
}

TEST_CASE("paths in the documentation exist", "[architecture]") {
  static const std::regex path(R"([`(]((?:apps|core|cuda|data|docs|experiments|layers|optim|test)/[\w./*{},-]+))");
  const fs::path root = BOUGH_SOURCE_DIR;
  std::vector<fs::path> documents = {root / "README.md", root / "CONTRIBUTING.md"};
  for (const char* folder : {"docs", "experiments"})
    for (const auto& entry : fs::recursive_directory_iterator(root / folder))
      if (entry.path().extension() == ".md") documents.push_back(entry.path());
  int paths = 0;
  for (const fs::path& document : documents) {
    std::ifstream in(document);
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      for (auto m = std::sregex_iterator(line.begin(), line.end(), path); m != std::sregex_iterator(); ++m)
        for (const std::string& name : expand((*m)[1])) {
          INFO(fs::relative(document, root).string() << ":" << number << ": " << name);
          CHECK(exists(name));
          ++paths;
        }
    }
  }
  CHECK(paths > 100);  // the pattern still finds them
}

TEST_CASE("each library is included by one file", "[architecture]") {
  for (const auto& [folder, allowed] : may_include)
    for (const auto& include : includes_of(folder))
      for (const auto& [library, home] : one_home) {
        if (include.path.rfind(library, 0) != 0) continue;
        INFO(include.file.string() << ":" << include.line << ": " << include.path);
        CHECK(include.file == fs::path(home));
      }
}
