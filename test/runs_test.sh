#!/usr/bin/env bash
# Runs of bough-train that meet on one model; signals that come while one waits or validates; logs on a full disk.
# Usage: runs_test.sh BUILD_FOLDER
set -u
. "$(dirname "$0")/train_cli.sh"

is_written() { [ -s "$1" ]; }
ended_with() {  # ended_with CODE: of the run in the background
  wait "$child"
  local code=$?
  [ "$code" = "$1" ] || echo "ended with $code, not with $1"
  [ "$code" = "$1" ]
}
validators() {  # of a checkpoint: best values and stalls of every metric
  python3 - "$1/model.npz.optimizer.npz" <<'PY'
import sys, zipfile
state = bytes(zipfile.ZipFile(sys.argv[1]).read("special:state.yml.npy")).split(b"\n", 1)[1].decode()
keys = ("last-validation", "owes-validation", "learning-rate-factor")
print([line for line in state.split("\n") if line.startswith(keys)], state[state.index("validators"):])
PY
}
value_of() { sed -n "s/^$2: *//p" "$1/model.npz.progress.yml"; }
state() {
  python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("special:state.yml.npy"))' \
    "$1/model.npz.optimizer.npz"
}
owes() { state "$1" | grep -a "owes-validation: $2" >/dev/null; }

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

# A signal while a validation decodes: it ends, the resumed run begins with it, and all is as without the signal.
# Longest sentences first, as they are decoded: the first lines of the log come early.
paste corpus/dev.en corpus/dev.de | awk '{ for (i = 0; i < 4; ++i) print length($0) "\t" $0 }' | sort -nr >dev.tsv
cut -f 2 dev.tsv >dev.en
cut -f 3 dev.tsv >dev.de
valid="--valid-sets dev.en dev.de --valid-freq 4 --valid-metrics ce-mean-words chrf --keep-best --valid-mini-batch 8
  --beam-size 2 --lr-decay 0.5 --lr-decay-strategy stalled --lr-decay-start 1 --early-stopping 20
  --early-stopping-epsilon 100 --save-freq 100000"
lines=$(wc -l <dev.en)
# shellcheck disable=SC2086  # several options
train whole --after 12u $valid
# shellcheck disable=SC2086
start parts --after 12u $valid --log parts.log; child=$!
await logs "Best translation 1 :" parts.log
kill -TERM $child
check "a signal ends a validation" ended_with 143
check "... as the log says" says "Training interrupted (via signal)." parts.log
check "... in the middle" test "$(grep -c 'Best translation' parts.log)" -lt "$lines"
check "... that is owed" owes parts true
check "... at the update after which it is due" test "$(value_of parts batches)" = 4
# shellcheck disable=SC2086
start parts --after 12u $valid --log again.log; child=$!
await logs "Best translation 1 :" again.log
kill -INT $child
check "the resumed run begins with it, and a signal ends it again" ended_with 130
check "... at the same update" test "$(value_of parts batches)" = 4
check "... and it is owed still" owes parts true
# shellcheck disable=SC2086
train parts --after 12u $valid --log rest.log
check "resumed gives the same bits" test "$(parameters whole)" = "$(parameters parts)"
check "... and the same best values, stalls and learning rate" test "$(validators whole)" = "$(validators parts)"
check "... where something stalled" test "$(value_of whole stalled)" -gt 0
for metric in ce-mean-words chrf; do
  check "... and the same best model by $metric" same whole/model.npz.best-$metric.npz parts/model.npz.best-$metric.npz
done
check "nothing is owed in the end" owes parts false
logged() { grep -o '"update":.*"valid".*' "$1/model.npz.metrics.jsonl"; }
check "... and each validation is in the metrics once" test "$(logged whole)" = "$(logged parts)"

# A signal during a validation script: the script goes with what it started, and is asked again.
cat >script.sh <<'SH'
echo $$ >script.pid
sleep 1000 &
echo $! >sleep.pid
wait
SH
# A script that does not care about SIGTERM.
printf 'trap "" TERM\necho $$ >script.pid\nwhile :; do sleep 0.1; done\n' >stubborn.sh
scripted="--valid-sets corpus/dev.en corpus/dev.de --valid-freq 3 --valid-metrics ce-mean-words valid-script
  --save-freq 100000 --after 6u"
is_gone() { case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in "" | Z*) ;; *) false ;; esac }
# shellcheck disable=SC2086
train asked-whole $scripted --valid-script-path "echo 7"
for script in script.sh stubborn.sh; do
  rm -rf asked script.pid sleep.pid
  # shellcheck disable=SC2086
  start asked $scripted --valid-script-path "bash $script"; child=$!
  await is_written script.pid
  [ $script = stubborn.sh ] || await is_written sleep.pid
  kill -INT $child
  check "a signal ends a script ($script)" ended_with 130
  check "... altogether" is_gone "$(cat script.pid)"
  [ ! -e sleep.pid ] || check "... with what it started" is_gone "$(cat sleep.pid)"
  check "... and it is owed" owes asked true
  # shellcheck disable=SC2086
  train asked $scripted --valid-script-path "echo 7"
  check "resumed gives the same bits" test "$(parameters asked)" = "$(parameters asked-whole)"
  check "... and the same values" test "$(validators asked)" = "$(validators asked-whole)"
done
rm -rf asked script.pid
# shellcheck disable=SC2086
start asked $scripted --valid-script-path "bash stubborn.sh"; child=$!
await is_written script.pid
kill -TERM $child; kill -INT $child  # in this order or the other
wait $child
code=$?
check "a second signal ends at once" test "$code" = 130 -o "$code" = 143
await is_gone "$(cat script.pid)"
check "... and the script with it" test $? = 0
check "... without a save" test ! -e asked/model.npz.optimizer.npz
rm -rf asked script.pid
# shellcheck disable=SC2086
start asked $scripted --valid-script-path "bash script.sh" --sigterm exit-immediately; child=$!
await is_written script.pid
kill -TERM $child
check "sigterm: exit-immediately does so" ended_with 143
await is_gone "$(cat script.pid)"
check "... and the script goes, too" test $? = 0
# shellcheck disable=SC2086
train failed $scripted --valid-script-path false 2>/dev/null
check "a script that failed is owed, too" owes failed true
# shellcheck disable=SC2086
train failed $scripted --valid-script-path "echo 7"
check "... and asked first" test "$(validators failed)" = "$(validators asked-whole)"

# A script has nothing to read: the lines on standard input are for training. They come in windows of 65,536, most of
# them too long here.
awk 'BEGIN { for (i = 0; i < 60; ++i) line = line "a "; for (i = 0; i < 65536; ++i) print line "\tb" }' >long.tsv
paste corpus/train.en corpus/train.de >real.tsv
{ cat real.tsv; head -n 64936 long.tsv; } >window.tsv
cat window.tsv real.tsv >all.tsv
streamed="--tsv --train-sets stdin --max-length 50 --save-freq 100000"
# shellcheck disable=SC2086
train stream-whole $streamed <all.tsv
mkfifo lines
# shellcheck disable=SC2086
input=lines start stream-parts $streamed --log stream.log --disp-freq 1; child=$!
exec 9>lines
cat window.tsv >&9
waits() {  # all of the window is used, and no line came for a second
  local before
  before=$(grep -c "Up\." stream.log)
  sleep 1
  [ "$before" -gt 0 ] && [ "$(grep -c "Up\." stream.log)" = "$before" ]
}
await waits
kill -TERM $child
check "a signal ends the wait for standard input" ended_with 143
exec 9>&-
check "... and saves" test "$(value_of stream-parts batches)" -gt 1
# shellcheck disable=SC2086
train stream-parts $streamed <all.tsv
check "resumed from the same lines gives the same bits" test "$(parameters stream-whole)" = "$(parameters stream-parts)"
check "... at the end of the input" test "$(value_of stream-whole batches)" = "$(value_of stream-parts batches)"
# shellcheck disable=SC2086
input=lines start enough $streamed --after 2u; child=$!
exec 9>lines
cat window.tsv >&9
check "a run that has enough does not wait for the end of the input" ended_with 0
exec 9>&-
# shellcheck disable=SC2086
{ cat window.tsv; echo "no tab"; } | train stream-bad $streamed --quiet false >out.txt 2>&1
check "a bad line late in the input ends with 1" test $? = 1
check "... and is named" says "line 65537 has 1 tab-separated fields" out.txt
# shellcheck disable=SC2086
train stream-bad $streamed <all.tsv
check "... what was trained before it was saved" test "$(parameters stream-whole)" = "$(parameters stream-bad)"

# No run ends for a line of its log.
train unlogged --after 3u --disp-freq 1 --log /dev/full --metrics /dev/full --quiet false >out.txt 2>&1
check "a log on a full disk does not end a run" test $? = 0
check "... but is said, once" test "$(grep -c "log: '/dev/full' cannot be written (No space left on device)" out.txt)" = 1
check "... of the metrics, too" test "$(grep -c "metrics: '/dev/full' cannot be written (No space" out.txt)" = 1

report
