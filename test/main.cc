// The test program: Catch2's own, with bough's log lines off in every test case.
#define CATCH_CONFIG_RUNNER
#include "core/base/log.h"
#include "test/catch.h"

namespace {

// Tests that parse options set the log anew; each case starts silent again.
struct Silence : CatchListener {
  using CatchListener::CatchListener;
  void testCaseStarting(const Catch::TestCaseInfo&) override { bough::log::configure({.quiet = true}); }
};
CATCH_REGISTER_LISTENER(Silence)

}  // namespace

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
