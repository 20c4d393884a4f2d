// Any bytes as files: the line reader and the command must answer with lines or with an Error.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "apps/scoring/command.h"

namespace fs = std::filesystem;

namespace {

struct TemporaryFolder {
  std::string path;
  TemporaryFolder() : path(fs::temp_directory_path() / ("bough-fuzz-" + std::to_string(getpid()))) {
    fs::create_directories(path);
  }
  ~TemporaryFolder() { fs::remove_all(path); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  static const TemporaryFolder temporary;
  const std::string& folder = temporary.path;
  const bool is_packed = (data[0] & 1) != 0;
  const std::string path = folder + (is_packed ? "/text.gz" : "/text");
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(data) + 1, std::streamsize(size - 1));
  std::ostringstream out, messages;
  const std::string fields = std::to_string(1 + (data[0] >> 1) % 3);
  const int code = bough::run_score(
      std::vector<std::string>{path, "-nr", fields, "-i", path, "-m", "bleu", "chrf", "-j", "1"}, out, messages);
  if (code != 0 && messages.str().empty()) std::abort();
  return 0;
}
