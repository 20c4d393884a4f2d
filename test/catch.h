#pragma once
// The one place that knows which Catch2 is installed: v2 (Debian 12) or v3. CatchListener: in main.cc only.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using CatchListener = Catch::EventListenerBase;
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#ifdef CATCH_CONFIG_RUNNER
using CatchListener = Catch::TestEventListenerBase;
#endif
#endif
