// The dependency picture of docs/architecture.md, as data and as a test.
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "test/catch.h"

namespace fs = std::filesystem;

namespace {

// A folder may include itself and these; nothing else.
const std::map<std::string, std::set<std::string>> may_include = {
    {"core", {}},
    {"cuda", {"core"}},
    {"layers", {"core"}},
    {"optim", {"core"}},
    {"data", {"core"}},
    {"apps", {"core", "cuda", "layers", "optim", "data"}},
    {"test", {"core", "cuda", "layers", "optim", "data", "apps"}},
};
// What data/ may use of core/: it is about text and must not know tensors.
const std::set<std::string> data_may_use = {"error.h", "interrupt.h", "log.h", "settings.h", "schedule_unit.h",
                                            "random.h", "version.h", "io.h", "progress.h", "files.h"};
// A library is included by one file, so that it can be replaced there.
const std::map<std::string, std::string> one_home = {
    {"yaml-cpp/", "core/yaml.cc"},        {"oneapi/dnnl/", "core/cpu_gemm.cc"},
    {"Eigen/", "core/cpu_gemm.cc"},       {"sentencepiece_", "data/sentencepiece.cc"},
    {"zip.h", "core/npz.cc"},             {"unicode/", "data/unicode.cc"},
    {"cublasLt.h", "cuda/gemm.cc"},
};

struct Include {
  fs::path file;
  int line;
  std::string path;
};

std::vector<Include> includes_of(const std::string& folder) {
  static const std::regex directive(R"(\s*#include\s*["<]([^">]+)[">].*)");
  std::vector<Include> found;
  if (!fs::exists(fs::path(BOUGH_SOURCE_DIR) / folder)) return found;  // git keeps no empty folder
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(BOUGH_SOURCE_DIR) / folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path());
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      std::smatch m;
      if (std::regex_match(line, m, directive)) found.push_back({entry.path(), number, m[1]});
    }
  }
  return found;
}

}  // namespace

TEST_CASE("includes follow the dependency picture", "[architecture]") {
  for (const auto& [folder, allowed] : may_include) {
    for (const auto& include : includes_of(folder)) {
      const auto slash = include.path.find('/');
      if (slash == std::string::npos) continue;
      const std::string target = include.path.substr(0, slash);
      if (!may_include.count(target)) continue;
      INFO(include.file.string() << ":" << include.line << ": " << include.path);
      CHECK((target == folder || allowed.count(target) == 1));
      if (folder == "data" && target == "core")
        CHECK(data_may_use.count(include.path.substr(slash + 1)) == 1);
      if (folder == "apps" && target == "cuda") {  // CUDA or not is decided by linking, behind one header
        CHECK(include.path == "cuda/factory.h");
        CHECK(fs::relative(include.file, BOUGH_SOURCE_DIR) == fs::path("apps/device.cc"));
      }
    }
  }
}

TEST_CASE("each library is included by one file", "[architecture]") {
  for (const auto& [folder, allowed] : may_include) {
    if (folder == "test") continue;
    for (const auto& include : includes_of(folder))
      for (const auto& [library, home] : one_home) {
        if (include.path.rfind(library, 0) != 0) continue;
        INFO(include.file.string() << ":" << include.line << ": " << include.path);
        CHECK(fs::relative(include.file, BOUGH_SOURCE_DIR) == fs::path(home));
      }
  }
}
