// A slow disk: preloaded, it makes every write, fsync and rename of a program take up to 20, 60, 20 milliseconds
// longer, so that a kill is likely to come in the middle of a save.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <random>

namespace {

void wait_up_to(unsigned milliseconds) {
  thread_local std::minstd_rand random{std::random_device{}()};
  usleep(unsigned(random()) % (1000 * milliseconds));
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" ssize_t write(int file, const void* data, size_t bytes) {
  wait_up_to(20);
  return real<ssize_t(int, const void*, size_t)>("write")(file, data, bytes);
}

extern "C" int fsync(int file) {
  wait_up_to(60);
  return real<int(int)>("fsync")(file);
}

extern "C" int rename(const char* from, const char* to) noexcept {
  wait_up_to(20);
  return real<int(const char*, const char*)>("rename")(from, to);
}
