#!/usr/bin/env bash
# Runs of bough-train that meet on one model.
# Usage: runs_test.sh BUILD_FOLDER
set -u
. "$(dirname "$0")/train_cli.sh"

await() {  # await CONDITION...: until it holds, two minutes at most
  for _ in $(seq 2400); do
    "$@" && return 0
    sleep 0.05
  done
  echo "never happened: $*"
  return 1
}
is_written() { [ -s "$1" ]; }
# One run at a time: the second one says who has the model, and touches nothing.
start first --after 100000u --save-freq 100000; child=$!
await is_written first/model.npz.lock
train first --after 5u --quiet false >out.txt 2>&1
check "a second run on the same model ends with 1" test $? = 1
check "... and names the file and who holds it" says "is being trained by process $child on $(uname -n), which holds 'first/model.npz.lock'" out.txt
check "... and writes nothing" test -z "$(find first -name 'model.npz*' ! -name '*.lock' ! -name '*.jsonl')"
train second --after 2u
check "another model may be trained meanwhile" test -s second/model.npz
kill -9 $child; wait $child 2>/dev/null
check "a kill leaves a file" test -e first/model.npz.lock
train first --after 2u
check "... that means nothing" test $? = 0
check "a run that ended leaves none" test ! -e first/model.npz.lock

report
