#include "core/base/progress.h"

#include <algorithm>

#include "core/base/log.h"

namespace bough {
namespace {

constexpr int width = 30;
constexpr auto interval = std::chrono::milliseconds(100);

std::string short_number(double v) {
  return v >= 1e6   ? fmt::format("{:.1f}M", v / 1e6)
         : v >= 1e4 ? fmt::format("{:.1f}k", v / 1e3)
                    : fmt::format("{:.0f}", v);
}

}  // namespace

Progress::Progress(std::string label, int64_t total)
    : label_(std::move(label)), total_(total), start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { log::status(""); }

void Progress::advance_to(int64_t done, const std::string& note) {
  const auto now = std::chrono::steady_clock::now();
  if (!log::has_terminal() || now - drawn_ < interval) return;
  drawn_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::string line = label_ + "  ";
  if (total_ > 0) {
    const double share = std::clamp(double(done) / double(total_), 0.0, 1.0);
    const int filled = int(share * width);
    line += fmt::format("[{}{}]  {:3.0f} %", std::string(size_t(filled), '='), std::string(size_t(width - filled), ' '),
                        100 * share);
  } else {
    line += short_number(double(done));
  }
  if (seconds > 1) line += fmt::format("  {}/s", short_number(double(done) / seconds));
  if (!note.empty()) line += "  " + note;
  log::status(line);
}

}  // namespace bough
