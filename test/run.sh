#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test that this machine can run.
# Usage: test/run.sh [ctest arguments]
set -eu
cd "$(dirname "$0")/.."
experiments/install.sh --tests
cmake --preset test >/dev/null
cmake --build build-test
exec ctest --test-dir build-test --output-on-failure --no-tests=error "$@"
