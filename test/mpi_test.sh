#!/usr/bin/env bash
# bough-train as several processes that mpirun starts: one run, whatever their number; and one sentence for bad input.
# Usage: mpi_test.sh BUILD_FOLDER
set -u
. "$(dirname "$0")/train_cli.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS=detect_leaks=0

if ! ldd "$bin/bough-train" | grep -q libmpi; then
  PMI_RANK=0 PMI_SIZE=2 train bad --after 2u >out.txt 2>&1
  check "without MPI, two processes end with 1" test $? = 1
  check "... in one sentence" says "has started 2 processes, but this bough was built without MPI" out.txt
  report || exit 1
  echo "not tested: built without MPI"
  exit 77
fi
if ! command -v mpirun >/dev/null; then
  echo "not tested: no mpirun here"
  exit 77
fi

sed -i 's/dim-emb: 32/dim-emb: 64/; s/dim-ffn: 64/dim-ffn: 128/' config.yml  # three slices of the optimizer's state
launch="timeout --kill-after 10 240 mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1"
mpi() {  # mpi RANKS FOLDER OPTIONS...
  local ranks=$1 folder=$2
  shift 2
  mkdir -p "$folder"
  $launch -n "$ranks" "$bin/bough-train" -c config.yml --model "$folder/model.npz" --cpu-threads 1 "$@"
}
# Two in the background, below process $!, which read $input; the second's process is in the file pid.
start_mpi() {  # start_mpi FOLDER OPTIONS...
  local command
  command="$bin/bough-train -c config.yml --model $1/model.npz --cpu-threads 1 --after 100000u --quiet false ${*:2}"
  mkdir -p "$1"
  # shellcheck disable=SC2086  # several words
  $launch -n 1 $command : -n 1 sh -c "echo \$\$ >pid; exec $command" 2>"$1.txt" <"${input:-/dev/null}" &
}
# The same micro-batches for 1, 2 and 4 ranks: of 300 tokens, four an update.
cut_for() { echo "--mini-batch-words $((300 * $1)) --optimizer-delay $((4 / $1))"; }
state() {  # state FOLDER KEY: of the checkpoint
  python3 - "$1" "$2" <<'PY'
import re, sys, zipfile
text = zipfile.ZipFile(sys.argv[1] + "/model.npz.optimizer.npz").read("special:state.yml.npy").decode("latin1")
print(re.search(r"^ *" + sys.argv[2] + r": (.*)$", text, re.M).group(1))
PY
}
metric() { grep -o "ce-mean-words : [0-9.]*" "$1" | cut -c 1-20; }  # to five digits

for ranks in 2 3; do
  $launch -n $ranks "$bin/bough-test" "[.mpi]" >out.txt 2>&1
  check "unit tests as $ranks processes" test $? = 0
done

valid="--valid-sets corpus/dev.en corpus/dev.de --valid-freq 6 --valid-metrics ce-mean-words bleu"
# One process that accumulates four micro-batches is four that have one each, and two that have two.
# shellcheck disable=SC2046,SC2086  # several options
{
  train one --cpu-threads 1 --after 12u $(cut_for 1) $valid --quiet false >one.txt 2>&1
  mpi 2 two --after 12u $(cut_for 2) $valid --quiet false >two.txt 2>&1
  mpi 4 four --after 12u $(cut_for 4) $valid
}
check "two processes are one that accumulates" close 1e-3 one two 2>distance.txt || cat distance.txt
check "four processes are one that accumulates" close 1e-3 one four 2>distance.txt || cat distance.txt
check "... and validate alike" test "$(metric one.txt)" = "$(metric two.txt)"
check "... twice" test "$(metric two.txt | wc -l)" = 2
check "the log says who takes part" grep -q "2 processes on 1 machine (.*), MPI (" two.txt
check "... once" test "$(grep -c "Training started" two.txt)" = 1

# Resumed by any number of processes; by the same number to the bit.
# shellcheck disable=SC2046
{
  train walk --cpu-threads 1 --after 3u $(cut_for 1)
  mpi 2 walk --after 6u $(cut_for 2)
  mpi 4 walk --after 9u $(cut_for 4)
  train walk --cpu-threads 1 --after 12u $(cut_for 1)
  mpi 4 parts --after 5u $(cut_for 4) && mpi 4 parts --after 12u $(cut_for 4) --log-layer-norms 2
}
check "resumed by 1, 2, 4 and 1 processes" close 1e-3 one walk 2>distance.txt || cat distance.txt
check "... with the same clock" test "$(state one labels)" = "$(state walk labels)"
check "resumed by as many gives the same bits" test "$(parameters four)" = "$(parameters parts)"

# Epochs that do not divide, validation, sampled segmentations (some of more than 100 pieces: all are to be seen), a seed
# of the clock, and admin's profile.
# shellcheck disable=SC2086
mpi 3 full --after-epochs 2 --seed 0 --sentencepiece-alphas 0.2 0.1 --max-length 150 --mini-batch-words 450 \
  --transformer-residual admin $valid --quiet false >full.txt 2>&1
check "two epochs of three processes end well" test $? = 0
check "... each seen once" test "$(grep -c "Seen 600 samples" full.txt)" = 2
check "... validated once each time" test "$(grep -c "ce-mean-words" full.txt)" -ge 4
check "... logged once" test "$(grep -c "] Ep. 1 : Up. 10 " full.txt)" = 1
check "... profiled once" test "$(grep -c "admin: omega" full.txt)" = 1
"$bin/bough-translate" -m full/model.npz -v vocab.spm vocab.spm --quiet <corpus/test.en >full.de
check "... the model translates" test "$(wc -l <full.de)" = 60

# What a validation without progress does to rate and optimizer, it does on all ranks.
stalled="--after 9u --valid-sets corpus/dev.en corpus/dev.de --valid-freq 2 --valid-metrics ce-mean-words
  --early-stopping 0 --early-stopping-epsilon 100 --lr-decay 0.5 --lr-decay-strategy stalled --lr-decay-start 3
  --lr-decay-reset-optimizer"
# shellcheck disable=SC2046,SC2086
{
  train stalled-one --cpu-threads 1 $(cut_for 1) $stalled --quiet false >stalled-one.txt 2>&1
  mpi 2 stalled-two $(cut_for 2) $stalled
}
check "validations have stalled" says "Resetting optimizer statistics" stalled-one.txt
check "... and reset the optimizer on all ranks" close 1e-3 stalled-one stalled-two 2>distance.txt || cat distance.txt

# The update of mini-batch-fit stays what it was, cut for those who go on.
fit="--mini-batch-words 0 --mini-batch-fit --workspace 8 --optimizer-delay 1"
# shellcheck disable=SC2086
{
  mpi 2 fit --after 2u $fit
  before=$(state fit fitted-tokens)
  train fit --cpu-threads 1 --after 4u $fit
}
check "mini-batch-fit keeps its update" test "$before" = "$(state fit fitted-tokens)"
check "... which is not empty" test "$before" -gt 100

# A stream is read by the first process and dealt out, whether it is standard input or a pipe: one run, resumed or not.
awk 'BEGIN { for (i = 0; i < 60; ++i) line = line "a "; for (i = 0; i < 64936; ++i) print line "\tb" }' >long.tsv
paste corpus/train.en corpus/train.de >short.tsv
cat short.tsv long.tsv >window.tsv  # most lines are too long to be trained on
cat window.tsv short.tsv >all.tsv
streamed="--train-sets stdin --tsv --max-length 50"
# shellcheck disable=SC2046,SC2086
{
  train stream-one --cpu-threads 1 $(cut_for 1) $streamed <all.tsv
  mpi 2 stream-two $(cut_for 2) $streamed --quiet false <all.tsv >stream.txt 2>&1
  mpi 2 stream-parts $(cut_for 2) $streamed --after 3u <all.tsv
  mpi 2 stream-parts $(cut_for 2) $streamed <all.tsv
}
check "two processes share a stream as one reads it" close 1e-3 stream-one stream-two 2>distance.txt || cat distance.txt
check "... with the same clock" test "$(state stream-one labels)" = "$(state stream-two labels)"
check "... logged once" test "$(grep -c "Seen 1,178 samples" stream.txt)" = 1
check "... resumed with the same bits" test "$(parameters stream-two)" = "$(parameters stream-parts)"
mkfifo source target
cat corpus/train.en >source &
cat corpus/train.de >target &
# shellcheck disable=SC2046,SC2086
{
  mpi 2 pipes $(cut_for 2) --train-sets source target --after 12u
}
check "... and pipes as files" close 1e-3 one pipes 2>distance.txt || cat distance.txt
mkfifo lines
# shellcheck disable=SC2086
input=lines start_mpi waits $streamed --log waits.log; child=$!
exec 9>lines
cat window.tsv >&9
await logs "Up. 10 " waits.log
sleep 1  # to the end of what there is
kill -TERM "$(cat pid)"; wait $child
check "a signal to one process ends the wait for a stream with 143" test $? = 143
check "... saved once" test "$(grep -c "Saving model weights" waits.txt)" = 1
exec 9>&-

# A signal to one saves once and ends all; a killed one ends all, and the checkpoint is whole.
start_mpi signal; child=$!
await logs "Up. 10 " signal.txt
kill -TERM "$(cat pid)"; wait $child
check "a signal to one process ends with 143" test $? = 143
check "... saved once" test "$(grep -c "Saving model weights" signal.txt)" = 1
start_mpi killed --save-freq 5; child=$!
await logs "Up. 20 " killed.txt
kill -9 "$(cat pid)"; wait $child
check "a killed process ends the others" test $? != 0
mpi 2 killed --after "$(($(state killed updates) + 2))u"
check "... and the run goes on from its checkpoint" test $? = 0

# What has gone wrong on one or all: one sentence.
refuses() {  # refuses NAME CODE SENTENCE COMMAND...
  local name=$1 code=$2 sentence=$3
  shift 3
  rm -rf bad
  "$@" >out.txt 2>&1
  check "$name ends with $code (was $?)" test $? = "$code"
  check "$name says '$sentence'" says "$sentence" out.txt
  check "... once" test "$(grep -c "Error: " out.txt)" = 1 || tail -n 30 out.txt
}
bad="$bin/bough-train -c config.yml --model bad/model.npz --cpu-threads 1 --after 3u"
refuses "an unknown option" 1 "did you mean" mpi 3 bad --label-smothing 0.1
refuses "a missing corpus" 1 "nowhere.en" mpi 2 bad --train-sets nowhere.en corpus/train.de
refuses "a failed script" 1 "valid-script" mpi 2 bad --after 3u --valid-sets corpus/dev.en corpus/dev.de \
  --valid-freq 2 --valid-metrics valid-script --valid-script-path false
check "... saved before" test -s bad/model.npz.optimizer.npz
refuses "a diverged run" 3 "the run has diverged" mpi 2 bad --after 200u --learn-rate 1e38 --lr-warmup 0 --clip-norm 0 \
  --divergence-updates 4
refuses "more processes than sentences" 1 "3 sentences an update cannot be shared by 4 devices" \
  mpi 4 bad --mini-batch-words 0 --mini-batch 3
{ cat window.tsv; echo "no tab"; } >bad.tsv
# shellcheck disable=SC2086
refuses "a bad line late in a stream" 1 "line 65537 has 1 tab-separated fields" mpi 2 bad $streamed <bad.tsv
check "... which keeps what was trained" test "$(state bad updates)" -gt 1
refuses "a pipe to validate on" 1 "valid-sets: 'lines' can be read only once, and all 2 processes read it" \
  mpi 2 bad --valid-sets lines corpus/dev.de
# shellcheck disable=SC2086
refuses "one GPU for two" 1 "devices names 1 GPU for 2 processes of one machine" \
  $launch -n 2 "$bin/bough-train" -c config.yml --model bad/model.npz --devices 0
# shellcheck disable=SC2086
refuses "other options" 1 "('learn-rate: 0.1', not 'learn-rate: 0.003')" \
  $launch -n 1 $bad : -n 1 $bad --learn-rate 0.1
mkdir moved && ln -s ../vocab.spm ../config.yml moved/
# shellcheck disable=SC2086
refuses "a file that one process lacks" 1 "Error: rank 1: " $launch -n 1 $bad : -n 1 sh -c "cd moved && exec $bad"
check "... which it names" says "corpus/train.en" out.txt
mkdir moved/corpus && for side in en de; do head -n 500 corpus/train.$side >moved/corpus/train.$side; done
# shellcheck disable=SC2086
refuses "other texts" 1 "the text or a vocabulary of rank 1 differs" \
  $launch -n 1 $bad : -n 1 sh -c "cd moved && exec $bad"
# shellcheck disable=SC2086
refuses "a launcher of another MPI" 1 "has started 2 processes, but MPI sees 1" env PMI_RANK=0 PMI_SIZE=2 $bad

report
