// Signals that arrive while matrices are multiplied change nothing.
#include "core/base/signals.h"

#include <sys/time.h>

#include <csignal>
#include <vector>

#include "core/backend.h"
#include "core/base/random.h"
#include "core/cpu/factory.h"
#include "test/catch.h"

using namespace bough;

namespace {

volatile std::sig_atomic_t alarms = 0;
extern "C" void count_alarm(int) { alarms = alarms + 1; }

/// While it lives, SIGALRM comes every 100 microseconds, on the stack that catch_signals sets up.
class Alarms {
 public:
  Alarms() {
    struct sigaction action {};
    action.sa_handler = count_alarm;
    action.sa_flags = SA_ONSTACK | SA_RESTART;
    sigaction(SIGALRM, &action, &before_);
    set_period(100);
  }
  ~Alarms() {
    set_period(0);
    sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  static void set_period(int microseconds) {
    const itimerval timer{{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, nullptr);
  }
  struct sigaction before_ {};
};

/// y = x W^T, dW = y^T x, dx = y W.
std::vector<float> products(Backend& backend, int64_t rows) {
  RandomStream random(3);
  const auto filled = [&](Shape shape) {
    std::vector<float> values(size_t(shape.elements()));
    for (float& v : values) v = float(random.uniform() - 0.5);
    const Tensor t = backend.allocate(shape);
    backend.upload(t, values.data());
    return t;
  };
  const Tensor x = filled({rows, 128}), w = filled({256, 128}), y = backend.allocate({rows, 256}),
               dw = backend.allocate({256, 128}), dx = backend.allocate({rows, 128});
  backend.gemm(write_to(y), x, w, Gemm{.transpose_b = true});
  backend.gemm(write_to(dw), y, x, Gemm{.transpose_a = true});
  backend.gemm(write_to(dx), y, w, Gemm{});
  std::vector<float> result(size_t(dw.size() + dx.size()));
  backend.download(result.data(), dw);
  backend.download(result.data() + dw.size(), dx);
  return result;
}

}  // namespace

TEST_CASE("a signal in the middle of a product changes nothing", "[cpu][gemm][signals]") {
  catch_signals(false);
  for (const int threads : {1, 2}) {
    const auto backend = make_cpu_backend(threads);
    std::vector<std::vector<float>> expected;
    for (int64_t rows = 4000; rows < 4004; ++rows) expected.push_back(products(*backend, rows));
    const Alarms running;
    const auto seen = alarms;
    for (int round = 0; round < 25; ++round) CHECK(products(*backend, 4000 + round % 4) == expected[size_t(round % 4)]);
    CHECK(alarms > seen);
  }
}
