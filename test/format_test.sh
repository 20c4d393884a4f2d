#!/usr/bin/env bash
# Every source file is as clang-format 14 writes it. Another version writes other lines: then this test is skipped.
set -eu
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."
version=$(clang-format --version 2>/dev/null || true)
case $version in
  *" version 14."*) ;;
  *)
    echo "format_test: clang-format is '${version:-not installed}', must be version 14; nothing was checked"
    exit 77
    ;;
esac
# By name, not by git ls-files: an unpacked archive has files to check, too.
if ! said=$(find . -path './build*' -prune -o \( -name '*.cc' -o -name '*.h' -o -name '*.cu' \) -print0 |
  xargs -0 clang-format --dry-run -Werror 2>&1); then
  wrong=$(sed -n 's/^\.\/\([^ :]*\):[0-9].*/\1/p' <<<"$said" | sort -u | tr '\n' ' ')
  echo "format_test: not formatted; run: clang-format -i ${wrong:-FILE...; clang-format said: $said}"
  exit 1
fi
