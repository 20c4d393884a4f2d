// libFuzzer's entry: `bough-fuzz --row=NAME SEEDS` attacks one reader, `--rows` lists them. Built by the preset `fuzz`.
// It writes its inputs into the folder for temporary files, which should be one of its own and in memory: a million are
// written, and libFuzzer ends without removing them.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/error.h"
#include "core/base/log.h"
#include "test/fuzz/row.h"

namespace fs = std::filesystem;

namespace {

constexpr std::span<const Row> (*tables[])() = {archive_rows, text_rows};
const Row* chosen = nullptr;

void list_rows() {
  for (const auto table : tables)
    for (const Row& row : table()) std::puts(row.name);
}

const Row* find_row(const std::string& name) {
  for (const auto table : tables)
    for (const Row& row : table())
      if (name == row.name) return &row;
  return nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  bough::log::configure({.level = bough::log::Level::off});
  for (int i = 1; i < *argc; ++i) {
    const std::string argument = (*argv)[i];
    if (argument == "--rows") {
      list_rows();
      std::exit(0);
    }
    if (argument.starts_with("--row=")) chosen = find_row(argument.substr(6));
  }
  if (chosen) return 0;
  std::fputs("bough-fuzz: no such row; give --row=NAME with a NAME that --rows lists\n", stderr);
  std::exit(1);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fs::path folder = fs::temp_directory_path();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string path = folder / chosen->file;
  if (*chosen->file) std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(size));
  try {
    chosen->read(path, bytes);
  } catch (const bough::Error& error) {
    require(*error.what());
  }
  return 0;
}
