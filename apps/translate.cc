// bough-translate: translates text with a trained model.
#include <cstdio>
#include <exception>

#include "apps/inference/translate_command.h"
#include "apps/option_parser.h"
#include "core/base/error.h"
#include "core/base/signals.h"
#include "core/base/text_output.h"

int main(int argc, char** argv) {
  constexpr int user_error = 1, our_error = 2;
  bough::survive_file_limits();
  bough::reopen_closed_streams();
  try {
    const auto options = bough::parse_translate_options(argc, argv);
    if (options) bough::run_translate(*options);
    return 0;
  } catch (const bough::OutputClosed&) {
    return user_error;
  } catch (const bough::Error& error) {
    std::fprintf(stderr, "bough-translate: %s\n", error.what());
    return user_error;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bough-translate: internal error, please report: %s\n", error.what());
    return our_error;
  }
}
