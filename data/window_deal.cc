#include "data/window_deal.h"

#include <utility>

#include "core/base/interrupt.h"

namespace bough {

void WindowDeal::put(DealtWindow window) {
  {
    const std::lock_guard lock(mutex_);
    windows_.push_back(std::move(window));
  }
  changed_.notify_all();
}

std::deque<DealtWindow> WindowDeal::take_all() {
  const std::lock_guard lock(mutex_);
  return std::exchange(windows_, {});
}

DealtWindow WindowDeal::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || !windows_.empty(); });
  if (stopped_) throw Interrupted();
  DealtWindow oldest = std::move(windows_.front());
  windows_.pop_front();
  return oldest;
}

void WindowDeal::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

}  // namespace bough
