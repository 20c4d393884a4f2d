#!/usr/bin/env bash
# experiments/reliability, shortened: some stops lose nothing, and what is lost is noticed.
# Usage: reliability_test.sh BUILD_FOLDER
set -u
moments=$(cd "$(dirname "$0")/../experiments/reliability" && pwd)/moments.py
. "$(dirname "$0")/checks.sh"
export ASAN_OPTIONS=verify_asan_link_order=0  # the slow disk is preloaded
stop() {  # stop MOMENTS
  python3 -B "$moments" --bin "$bin" --work "$work" --moments "$1" --jobs 1 --result "$work/result.json" >out.txt 2>&1
}
count() { python3 -c 'import json; print(len(json.load(open("result.json"))["faults"]))'; }

"$bin/bough-example-corpus" corpus 600 20 4
stop 4
check "four stops lose nothing" test $? = 0
check "... and are counted" says "4 moments" out.txt
# Another run than the one that was never stopped: every file and every number differ.
python3 - reference/model.npz.metrics.jsonl <<'PY'
import sys
text = open(sys.argv[1]).read().replace('"learning_rate":', '"learning_rate":1')
open(sys.argv[1], "w").write(text)
PY
stop 8
check "other numbers are noticed" test $? = 1
check "... and said" says "without a stop" out.txt
check "... in the result" test "$(count)" -gt 4
report
