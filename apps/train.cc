// bough-train: trains a translation model.
#include <cstdio>
#include <exception>

#include "apps/option_parser.h"
#include "apps/training/describe.h"
#include "apps/training/trainer.h"
#include "core/base/log.h"
#include "core/base/program_end.h"
#include "core/base/settings_reader.h"
#include "core/base/signals.h"
#include "core/base/version.h"

namespace {

void log_settings(const bough::TrainOptions& options) {
  bough::log::info("[train] bough {}", bough::version());
  const std::string text = bough::format_yaml(bough::dump(options));
  for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    bough::log::info("[config] {}", std::string_view(text).substr(at, end - at));
}

int train(int argc, char** argv) {
  const auto options = bough::parse_train_options(argc, argv);
  if (!options) return 0;
  if (options->run.describe) {
    std::fputs(bough::describe_model(*options).c_str(), stdout);
    return 0;
  }
  if (!options->validation.log_file.empty()) bough::log::set_validation_file(options->validation.log_file);
  log_settings(*options);
  return bough::Trainer(*options).run();
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int diverged = 3;
  bough::survive_file_limits();
  bough::reopen_closed_streams();
  try {
    return train(argc, argv);
  } catch (const bough::Diverged& error) {
    bough::log::error("Error: {}", error.what());
    return diverged;
  } catch (const std::exception& error) {
    const auto [code, message] = bough::end_of(error);
    bough::log::error("Error: {}", message);
    return code;
  }
}
