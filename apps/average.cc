// bough-average: the mean of checkpoints, and models for other programs.

#include "apps/inference/model_average.h"
#include "apps/option_parser.h"
#include "core/base/io.h"
#include "core/base/program.h"

int main(int argc, char** argv) {
  return bough::run_program("bough-average", [&] {
    const auto options = bough::parse_average_options(argc, argv);
    if (!options) return 0;
    const auto& files = options->files;
    for (size_t i = 1; i < files.size(); ++i) bough::check_not_input("OUT", files[0], "IN", files[i]);
    const auto& [corpus, vocabularies] = options->calibration;
    bough::check_not_input("OUT", files[0], "calibrate", corpus);
    for (const std::string& path : vocabularies) bough::check_not_input("OUT", files[0], "vocabs", path);
    const std::vector<std::string> inputs(files.begin() + 1, files.end());
    if (options->is_int8_export)
      bough::average_to_int8(files[0], inputs, options->calibration);
    else
      bough::average_models(files[0], inputs, options->is_export, options->is_float16);
    return 0;
  });
}
