#!/usr/bin/env bash
# Fuzzes the readers and the scoring for a minute where clang++-16 with libFuzzer is installed
# (Debian: clang-16, libclang-rt-16-dev); elsewhere it is skipped.
set -eu
cd "$(dirname "$0")/.."
if ! command -v clang++-16 >/dev/null; then
  echo "fuzz_test: clang++-16 is not installed; nothing was done"
  exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake --preset fuzz >/dev/null
cmake --build build-fuzz --target bough-fuzz-scoring bough-fuzz-reader
for target in scoring reader; do
  mkdir "$folder/$target"
  build-fuzz/bough-fuzz-$target -max_total_time=30 -timeout=10 -max_len=2000 -verbosity=0 \
    -print_final_stats=1 -artifact_prefix="$folder/" "$folder/$target"
done
