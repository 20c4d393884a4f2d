// bough-translate: translates text with a trained model.
#include <exception>

#include "apps/inference/translate_command.h"
#include "apps/option_parser.h"
#include "core/base/program_end.h"
#include "core/base/signals.h"

int main(int argc, char** argv) {
  bough::survive_file_limits();
  bough::reopen_closed_streams();
  try {
    const auto options = bough::parse_translate_options(argc, argv);
    if (options) bough::run_translate(*options);
    return 0;
  } catch (const std::exception& error) {
    return bough::end_program("bough-translate", error);
  }
}
