#pragma once
// The one place that knows which Catch2 is installed: v2 (Debian 12) or v3.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using CatchListener = Catch::EventListenerBase;
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#ifdef CATCH_CONFIG_RUNNER  // v2 shows its listeners to the runner only
using CatchListener = Catch::TestEventListenerBase;
#endif
#endif
