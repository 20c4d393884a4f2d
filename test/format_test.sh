#!/usr/bin/env bash
# Every source file is as clang-format 14 writes it. Another version writes other lines: then this test is skipped.
set -eu
cd "$(dirname "$0")/.."
version=$(clang-format --version 2>/dev/null || true)
case $version in
  *" version 14."*) ;;
  *)
    echo "format_test: clang-format is '${version:-not installed}', must be version 14; nothing was checked"
    exit 77
    ;;
esac
wrong=$(git ls-files '*.cc' '*.h' '*.cu' | xargs clang-format --dry-run 2>&1 | sed -n 's/^\([^ :]*\):[0-9].*/\1/p' | sort -u)
[ -z "$wrong" ] || { echo "format_test: not formatted; run: clang-format -i" $wrong; exit 1; }
