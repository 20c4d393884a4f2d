#include "core/base/interrupt.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "core/base/error.h"

namespace bough {

Event::Event() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  check(descriptor_ >= 0, "files: one more cannot be opened ({}); raise the limit (ulimit -n)", std::strerror(errno));
}

Event::~Event() { close(descriptor_); }

void Event::raise() noexcept {
  is_raised_ = true;
  const uint64_t one = 1;
  const int before = errno;  // of the code that a handler interrupts
  [[maybe_unused]] const ssize_t written = write(descriptor_, &one, sizeof one);  // or readable already
  errno = before;
}

Event& interruption() {
  static Event* const event = new Event;  // never closed: a signal may come while the program ends
  return *event;
}

}  // namespace bough
