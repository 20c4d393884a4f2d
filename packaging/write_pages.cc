// bough-pages FOLDER: writes manual pages and what shells complete command lines with, from the tables of options.
#include <cstdio>
#include <filesystem>

#include "apps/manual.h"
#include "core/base/error.h"
#include "core/base/files.h"

namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  bough::make_folder_of(path);
  bough::write_file(path, text);
}

void write_all(const std::filesystem::path& folder) {
  const auto programs = bough::program_entries();
  std::vector<std::string> names;
  for (const auto& program : programs) names.push_back(program.name);
  for (const auto& program : programs) {
    write(folder / "man" / (program.name + ".1"), bough::format_man_page(program, names));
    write(folder / "bash" / program.name, bough::format_bash_completion(program));
    write(folder / "fish" / (program.name + ".fish"), bough::format_fish_completion(program));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    bough::check(argc == 2, "usage: bough-pages FOLDER");
    write_all(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bough-pages: %s\n", error.what());
    return 1;
  }
}
