# shellcheck shell=bash
# Sourced by tests with the build folder as $1: a folder to work in ($work, the current one), which goes at the end, and
# the functions below. The last line of such a test is: report
bin=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'kill -9 $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
passed=0 failed=0

check() {  # check NAME CONDITION...
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $name"; fi
}
same() { cmp -s "$1" "$2"; }
says() { grep -qF -- "$1" "$2"; }
report() {
  echo "$passed passed, $failed failed"
  test "$failed" = 0
}
