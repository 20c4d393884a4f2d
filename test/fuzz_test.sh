#!/usr/bin/env bash
# Attacks the readers of other people's bytes for a minute, with the same inputs every time, where clang++-16 with
# libFuzzer is installed (Debian: clang-16, libclang-rt-16-dev); elsewhere it is skipped. Longer: test/fuzz/run.sh.
set -eu
cd "$(dirname "$0")/.."
if ! command -v clang++-16 >/dev/null || [ ! -e "$(clang++-16 -print-file-name=libclang_rt.fuzzer-x86_64.a)" ]; then
  echo "fuzz_test: clang++-16 with libFuzzer is not installed; nothing was done"
  exit 77
fi
exec test/fuzz/run.sh --seconds 4 --jobs 1 --seed 1
