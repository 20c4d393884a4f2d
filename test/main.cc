// The test program: Catch2's own, with bough's log lines off.
#define CATCH_CONFIG_RUNNER
#include "test/catch.h"

#include "core/log.h"

int main(int argc, char** argv) {
  bough::log::configure({.quiet = true});
  return Catch::Session().run(argc, argv);
}
