// Any bytes as files: the line reader and the command must answer with lines or with an Error.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "apps/score_command.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  static const std::string folder = [] {
    char name[] = "/tmp/bough-fuzz-XXXXXX";
    return std::string(mkdtemp(name));
  }();
  const bool is_packed = (data[0] & 1) != 0;
  const std::string path = folder + (is_packed ? "/text.gz" : "/text");
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data) + 1, static_cast<std::streamsize>(size - 1));
  std::ostringstream out, messages;
  const std::string fields = std::to_string(1 + (data[0] >> 1) % 3);
  const int code = bough::run_score(
      std::vector<std::string>{path, "-nr", fields, "-i", path, "-m", "bleu", "chrf", "-j", "1"},
      out, messages);
  if (code != 0 && messages.str().empty()) std::abort();
  return 0;
}
