#pragma once
// The one place that knows which Catch2 is installed: v2 (Debian 12) or v3.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using CatchListener = Catch::EventListenerBase;
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#if defined(CATCH_CONFIG_RUNNER)  // elsewhere v2 does not declare it
using CatchListener = Catch::TestEventListenerBase;
#endif
#endif
