#include "core/base/program.h"

#include <cstdio>
#include <filesystem>
#include <new>
#include <system_error>

#include "core/base/error.h"
#include "core/base/signals.h"
#include "core/base/text_output.h"

namespace bough {

ProgramEnd end_of(const std::exception& exception) {
  constexpr int not_ours = 1, ours = 2;
  if (dynamic_cast<const OutputClosed*>(&exception)) return {not_ours, ""};
  if (dynamic_cast<const Error*>(&exception)) return {not_ours, exception.what()};
  if (dynamic_cast<const std::bad_alloc*>(&exception))
    return {not_ours,
            "memory: the system gives no more. Make batches or model smaller, or raise its limit (ulimit -v)"};
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&exception))
    return {not_ours, fmt::format("'{}': {}. Check the path", file->path1().string(), file->code().message())};
  if (const auto* system = dynamic_cast<const std::system_error*>(&exception))
    return {not_ours,
            fmt::format("the system gives no more threads or other means: {}. Use fewer threads, or raise its "
                        "limit (ulimit -u)",
                        system->code().message())};
  return {ours, fmt::format("internal error, please report: {}", exception.what())};
}

int run_program(const char* program, const std::function<int()>& body) {
  survive_file_limits();
  survive_closed_pipes();
  reopen_closed_streams();
  try {
    return body();
  } catch (const std::exception& error) {
    const auto [code, message] = end_of(error);
    if (!message.empty()) std::fprintf(stderr, "%s: %s\n", program, message.c_str());
    return code;
  }
}

}  // namespace bough
