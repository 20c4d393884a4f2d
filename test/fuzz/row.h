#pragma once
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

/// A reader of other people's bytes, as libFuzzer attacks it. `read` must end, or throw bough::Error with a sentence:
/// anything else is a find, as are what the sanitizers report, a second that was too long, and 100 MB at once.
struct Row {
  const char* name;  ///< of --row, and of the folder of its seeds in test/fuzz/seeds
  const char* file;  ///< what the bytes are in, its ending tells readers how to read; "": in no file
  void (*read)(const std::string& path, std::string_view bytes);
};

std::span<const Row> archive_rows();  ///< npz and what lies in it, token cache
std::span<const Row> text_rows();     ///< YAML, vocabularies, corpora, n-best lists, what is scored, metrics of runs

/// A find unless it holds.
inline void require(bool ok) {
  if (!ok) std::abort();
}
