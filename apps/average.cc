// bough-average: the mean of checkpoints, and models for other programs.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "apps/inference/model_average.h"
#include "core/base/error.h"
#include "core/base/signals.h"
#include "core/base/version.h"

namespace {

constexpr const char* help =
    "bough-average [--export] OUT.npz IN.npz [IN.npz ...]\n"
    "\n"
    "Writes the mean of the models IN, checkpoints of one run, as OUT.\n"
    "\n"
    "  --export   fold the scales of deepnorm, branchnorm and admin into the weights: OUT is a plain post-ln\n"
    "             Transformer that Marian, CTranslate2 and others read. With one IN it only converts\n"
    "  --help, --version\n";

int run(const std::vector<std::string>& arguments) {
  bool fold = false;
  std::vector<std::string> paths;
  for (const std::string& argument : arguments) {
    if (argument == "--help" || argument == "-h") return std::fputs(help, stdout) < 0;
    if (argument == "--version") return std::printf("bough %s\n", std::string(bough::version()).c_str()) < 0;
    if (argument == "--export") {
      fold = true;
      continue;
    }
    bough::check(!argument.starts_with("-"), "{}: unknown option, must be --export, --help or --version", argument);
    paths.push_back(argument);
  }
  bough::check(paths.size() >= 2, "{} file{} given, must be OUT.npz and one IN.npz or more. See --help", paths.size(),
               paths.size() == 1 ? "" : "s");
  bough::average_models(paths[0], {paths.begin() + 1, paths.end()}, fold);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bough::survive_file_limits();
  bough::reopen_closed_streams();
  try {
    return run({argv + 1, argv + argc});
  } catch (const bough::Error& error) {
    std::fprintf(stderr, "bough-average: %s\n", error.what());
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bough-average: internal error, please report: %s\n", error.what());
    return 2;
  }
}
