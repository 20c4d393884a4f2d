#!/usr/bin/env bash
# Attacks every reader of other people's bytes, each for a while: the rows of test/fuzz/*_rows.cc, from their seeds in
# test/fuzz/seeds. Needs clang++-16 with libFuzzer (Debian: clang-16, libclang-rt-16-dev). Inputs that reached something
# new stay in build-fuzz/corpus, where the next call goes on; those that broke something are in build-fuzz/found. At the
# end: how many inputs each row took, in this call and in all, and what was found.
# Usage: test/fuzz/run.sh [--seconds N] [--jobs N] [--seed N] [ROW...]
#   --seconds N  for each row; default: 600
#   --jobs N     rows at a time; default: the number of cores
#   --seed N     the same inputs in every call, as long as build-fuzz/corpus is empty; default: others each time
set -eu
cd -- "$(dirname -- "$(readlink -f -- "$0")")/../.."
fail() {
  echo "run.sh: $1" >&2
  exit 1
}
seconds=600 jobs=$(nproc) seed=0 rows=""
while [ $# -gt 0 ]; do
  case $1 in
    --seconds | --jobs | --seed)
      [ $# -ge 2 ] || fail "$1 needs a number; see the first lines of test/fuzz/run.sh"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    -*) fail "'$1' is not an option of this script; see the first lines of test/fuzz/run.sh" ;;
    *) rows="$rows $1" ;;
  esac
  shift
done
cmake --preset fuzz >/dev/null
cmake --build build-fuzz --target bough-fuzz >build-fuzz/build.log || { tail -n 40 build-fuzz/build.log; exit 1; }
mkdir -p build-fuzz/corpus build-fuzz/found build-fuzz/inputs
[ -n "$rows" ] || rows=$(build-fuzz/bough-fuzz --rows)

inputs=$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" bough-fuzz-XXXXXX)
trap 'rm -rf "$inputs"' EXIT

attack() {  # attack ROW
  mkdir -p "build-fuzz/corpus/$1" "$inputs/$1"
  TMPDIR=$inputs/$1 build-fuzz/bough-fuzz "--row=$1" -seed="$seed" -max_total_time="$seconds" -timeout=10 \
    -malloc_limit_mb=100 -print_final_stats=1 -artifact_prefix="build-fuzz/found/$1-" "build-fuzz/corpus/$1" "test/fuzz/seeds/$1" \
    >"build-fuzz/$1.log" 2>&1
}
inputs_of() { sed -n 's/^stat::number_of_executed_units: *//p' "build-fuzz/$1.log"; }

running=0
for row in $rows; do
  if [ $running = "$jobs" ]; then
    wait -n || true
    running=$((running - 1))
  fi
  attack "$row" &
  running=$((running + 1))
done
wait

total=0 now=0 broken=""
printf '%-16s %12s %12s  %s\n' row inputs "in all" found
for row in $rows; do
  inputs_of "$row" >>"build-fuzz/inputs/$row"
  all=$(awk '{ n += $1 } END { print n + 0 }' "build-fuzz/inputs/$row")
  found=$(sed -n 's/^SUMMARY: *//p' "build-fuzz/$row.log" | head -n 1)
  [ -n "$found" ] || grep -q '^stat::' "build-fuzz/$row.log" || found=$(tail -n 1 "build-fuzz/$row.log")
  [ -z "$found" ] || broken="$broken $row"
  printf '%-16s %12s %12s  %s\n' "$row" "$(inputs_of "$row")" "$all" "${found:--}"
  now=$((now + $(inputs_of "$row" | awk '{ n += $1 } END { print n + 0 }')))
  total=$((total + all))
done
printf '%-16s %12s %12s  %s rows\n' all "$now" "$total" "$(echo "$broken" | wc -w)"
for row in $broken; do  # last, where a shortened report keeps it; the log names the input and shows it in base64
  echo "end of build-fuzz/$row.log:"
  tail -n 40 "build-fuzz/$row.log" | cut -c 1-2000
done
[ -z "$broken" ]
