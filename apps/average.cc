// bough-average: the mean of checkpoints, and models for other programs.
#include <cstdio>
#include <exception>

#include "apps/inference/model_average.h"
#include "apps/option_parser.h"
#include "core/base/error.h"
#include "core/base/signals.h"

int main(int argc, char** argv) {
  bough::survive_file_limits();
  bough::reopen_closed_streams();
  try {
    const auto options = bough::parse_average_options(argc, argv);
    if (!options) return 0;
    const auto& files = options->files;
    bough::average_models(files[0], {files.begin() + 1, files.end()}, options->is_export);
    return 0;
  } catch (const bough::Error& error) {
    std::fprintf(stderr, "bough-average: %s\n", error.what());
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bough-average: internal error, please report: %s\n", error.what());
    return 2;
  }
}
