// The test program: Catch2's own, with bough's log lines off in every test case. Cases that could not run are counted
// on its last line; 77, if no other case ran.
#define CATCH_CONFIG_RUNNER
#include <cstdio>

#include "core/base/log.h"
#include "test/catch.h"
#include "test/skip.h"

namespace {

int cases = 0;

// Tests that parse options set the log anew; each case starts silent again.
struct Silence : CatchListener {
  using CatchListener::CatchListener;
  void testCaseStarting(const Catch::TestCaseInfo&) override {
    bough::log::configure({.quiet = true});
    ++cases;
  }
};
CATCH_REGISTER_LISTENER(Silence)

}  // namespace

int main(int argc, char** argv) {
  const int failed = Catch::Session().run(argc, argv);
  int skipped = 0;
  for (const auto& [reason, count] : skipped_cases()) {
    std::printf("%d test cases could not run: %s\n", count, reason.c_str());
    skipped += count;
  }
  return failed == 0 && skipped > 0 && skipped == cases ? 77 : failed;
}
