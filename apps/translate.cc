// bough-translate: translates text with a trained model.

#include "apps/inference/translate_command.h"
#include "apps/option_parser.h"
#include "core/base/program.h"

int main(int argc, char** argv) {
  return bough::run_program("bough-translate", [&] {
    if (const auto options = bough::parse_translate_options(argc, argv)) bough::run_translate(*options);
    return 0;
  });
}
