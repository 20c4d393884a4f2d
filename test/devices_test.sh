#!/usr/bin/env bash
# bough-train on several emulated GPUs, a process each that it starts itself: one run, whatever their number; how all end
# when one does; and one sentence for bad input.
# Usage: devices_test.sh BUILD_FOLDER
set -u
. "$(dirname "$0")/train_cli.sh"
export BOUGH_EMULATED_GPUS=4 ASAN_OPTIONS=detect_leaks=0
program=$bin/bough-train-emulated
if ! [ -x "$program" ]; then
  echo "not tested: no emulator in this build"
  exit 77
fi

# Three slices of the optimizer's state; epsilon, so that gradients which are nothing but rounding move nothing.
sed -i '/^cpu-threads/d; s/dim-emb: 32/dim-emb: 64/; s/dim-ffn: 64/dim-ffn: 128/; s/depth: 2/depth: 1/; s/1e-9\]/1e-3]/' config.yml
echo "precision: float32" >>config.yml
gpus() {  # gpus FOLDER OPTIONS...
  local folder=$1
  shift
  mkdir -p "$folder"
  timeout 120 "$program" -c config.yml --model "$folder/model.npz" "$@"
}
start_gpus() {  # start_gpus FOLDER OPTIONS...: in the background, as process $!, with two; their numbers are $ranks
  mkdir -p "$1"
  "$program" -c config.yml --model "$1/model.npz" --devices 2 0 --mini-batch-words 200 --optimizer-delay 1 \
    --after 100000u --disp-freq 1 --quiet false "${@:2}" 2>"$1.txt" &
  parent=$!
}
await_updates() {  # await_updates FOLDER N: and read $ranks
  await logs "Up. $2 " "$1.txt"
  read -r -a ranks </proc/$parent/task/$parent/children
}
# The same micro-batches for 1, 2 and 4 GPUs: of 100 tokens, four an update.
cut_for() { echo "--mini-batch-words $((100 * $1)) --optimizer-delay $((4 / $1))"; }
has_ended() { ! [ -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }
all_ended() { for process in "${ranks[@]}"; do has_ended "$process" || return 1; done; }

gpus without --devices 0 1 --mini-batch-words 200 --after 1u >out.txt 2>&1
if says "built without NCCL" out.txt; then
  check "without NCCL, two GPUs are refused in one sentence" test "$(grep -c "Error: nccl: 2 processes are to" out.txt)" = 1
  report || exit 1
  echo "not tested: built without NCCL"
  exit 77
fi

# A rank that is stopped is noticed after 20 s: meanwhile, the rest.
start_gpus stopped --save-freq 2; stopped_parent=$parent
await_updates stopped 4; stopped_ranks=("${ranks[@]}")
kill -STOP "${ranks[1]}"
stopped_at=$(date +%s)

valid="--valid-sets corpus/dev.en corpus/dev.de --valid-freq 3 --valid-metrics ce-mean-words"
# shellcheck disable=SC2046,SC2086  # several options
{
  gpus one --devices 1 --after 4u $(cut_for 1) $valid --quiet false >one.txt 2>&1
  gpus two --devices 3 1 --after 4u $(cut_for 2) $valid --quiet false >two.txt 2>&1
  gpus four --devices all --after 4u $(cut_for 4) >four.txt 2>&1
  gpus parts --num-devices 2 --after 2u $(cut_for 2) && gpus parts --num-devices 2 --after 4u $(cut_for 2)
  gpus walk --devices all --num-devices 2 --after 1u $(cut_for 2) && gpus walk --devices all --after 2u $(cut_for 4) &&
    gpus walk --after 4u $(cut_for 1)
}
check "two GPUs are one that accumulates" close 1e-5 one two 2>distance.txt || cat distance.txt two.txt
check "four GPUs are one that accumulates" close 1e-5 one four 2>distance.txt || cat distance.txt four.txt
check "resumed on as many GPUs gives the same bits" test "$(parameters two)" = "$(parameters parts)"
check "resumed on 2, 4 and 1 GPUs" close 1e-5 one walk 2>distance.txt || cat distance.txt
check "the log says who takes part" grep -q "2 processes on 1 machine (.*), processes, NCCL" two.txt
check "... the first takes the first GPU named" says "GPU 3: emulated device" two.txt
check "... each line once" test "$(grep -c "Training started" two.txt)" = 1
check "... validated alike" test "$(grep -o "ce-mean-words : [0-9.]*" one.txt)" = "$(grep -o "ce-mean-words : [0-9.]*" two.txt)"
check "... and keeps the devices for a resumed run" test "$(grep -A 2 "^devices:" two/model.npz.yml | tr -d "\n -")" = "devices:31"

# In bfloat16 a rank keeps the values of its pieces alone; files have them all.
printf '#!/bin/sh\ncp "$1" "$1.seen" && echo 1\n' >keep.sh
half="--precision bfloat16 --keep-best --valid-metrics ce-mean-words valid-script --valid-script-path ./keep.sh"
half="$half --valid-sets corpus/dev.en corpus/dev.de --valid-freq 2 --exponential-smoothing 0.5"
chmod +x keep.sh
# shellcheck disable=SC2046,SC2086
{
  gpus half-one --devices 1 --after 4u $(cut_for 1) $half --log-layer-norms 2u
  gpus half-two --devices 0 1 --after 4u $(cut_for 2) $half --log-layer-norms 2u
  gpus half-parts --num-devices 2 --after 2u $(cut_for 2) $half && gpus half-parts --num-devices 2 --after 4u $(cut_for 2) $half
  gpus half-walk --num-devices 2 --after 1u $(cut_for 2) $half && gpus half-walk --devices all --after 2u $(cut_for 4) $half &&
    gpus half-walk --after 4u $(cut_for 1) $half
}
check "bfloat16: resumed on as many GPUs gives the same bits" test "$(parameters half-two)" = "$(parameters half-parts)"
check "... two GPUs are near to one" close 1e-2 half-one half-two 2>distance.txt || cat distance.txt
check "... and so are 2, 4 and 1" close 1e-2 half-one half-walk 2>distance.txt || cat distance.txt
check "... a script and keep-best are given what is saved" test \
  "$(for file in .dev.npz.seen .best-ce-mean-words.npz ""; do unzip_array "half-two/model.npz$file"; done | sort -u | wc -l)" = 1

# Standard input is read by the first and dealt out.
paste corpus/train.en corpus/train.de >all.tsv
# shellcheck disable=SC2046
{
  gpus stream-one --devices 0 --train-sets stdin --after 3u $(cut_for 1) <all.tsv
  gpus stream-two --devices 0 1 --train-sets stdin --after 3u $(cut_for 2) <all.tsv
}
check "two GPUs share a stream as one reads it" close 1e-5 stream-one stream-two 2>distance.txt || cat distance.txt

# Translating and scoring: one process, a thread for each GPU.
head -n 7 corpus/test.en >some.en
decode() {  # decode translate|score OPTIONS...
  timeout 120 "$bin/bough-$1-emulated" -v vocab.spm vocab.spm --precision float32 --mini-batch 2 "${@:2}"
}
decode translate -m two/model.npz --beam-size 2 --max-length-factor 1 --devices 1 <some.en >one.de 2>decode.txt
decode translate -m two/model.npz --beam-size 2 --max-length-factor 1 --devices 0 3 <some.en >two.de 2>>decode.txt
check "two GPUs translate as one does" same one.de two.de || tail -n 5 decode.txt
check "... every line" test "$(wc -l <two.de)" = 7
check "... with both" says "GPU 3: emulated device" decode.txt
head -n 7 corpus/test.de >some.de
for devices in 1 all; do
  decode score --model two/model.npz -t some.en some.de --devices $devices >scores-$devices.txt 2>>decode.txt
done
check "... and all GPUs score as one does" same scores-1.txt scores-all.txt || tail -n 5 decode.txt
check "... every pair" test "$(wc -l <scores-all.txt)" = 7

"$program" -c config.yml --describe --devices 0 1 2 >three.txt
check "--describe plans for the GPUs named" test "$(cat three.txt)" != "$("$program" -c config.yml --describe --devices 0)"
BOUGH_EMULATED_GPUS=3 "$program" -c config.yml --describe --devices all >all.txt
check "... and for all there are" same three.txt all.txt
"$bin/bough-train" -c config.yml --describe --precision float32 --devices 0 1 2 >three-planned.txt
check "... where none is" same three.txt three-planned.txt

# Signals: to the parent, to one rank, to all.
start_gpus parent; await_updates parent 2
kill -TERM $parent; wait $parent
check "SIGTERM to the parent ends with 143" test $? = 143
check "... saved once" test "$(grep -c "Saving model weights" parent.txt)" = 1
start_gpus child; await_updates child 2
kill -INT "${ranks[1]}"; wait $parent
check "SIGINT to a rank ends with 130" test $? = 130
check "... saved once" test "$(grep -c "Saving model weights" child.txt)" = 1
start_gpus each; await_updates each 2
kill -INT $parent "${ranks[@]}"; wait $parent
check "SIGINT to all ends with 130" test $? = 130
check "... saved once" test "$(grep -c "Saving model weights" each.txt)" = 1

start_gpus hasty --sigterm exit-immediately; await_updates hasty 2
kill -TERM $parent; wait $parent
check "sigterm: exit-immediately ends with 143" test $? = 143
check "... and saves nothing" test "$(grep -c "Saving model weights" hasty.txt)" = 0

# A rank or the parent killed.
start_gpus killed --save-freq 2; await_updates killed 5
kill -9 "${ranks[1]}"; wait $parent
check "a killed rank ends with 1" test $? = 1
check "... in one sentence that names it" test "$(grep "Error" killed.txt | cut -c 23-)" = \
  "Error: rank 1 (GPU 0) was killed by signal 9 (Killed); the system does that, too, where memory is short: see dmesg"
check "... and all have ended" all_ended
gpus killed --devices 0 1 --after 5u --mini-batch-words 200 --optimizer-delay 1
check "... the run goes on from its checkpoint" test $? = 0
start_gpus orphans --save-freq 2; await_updates orphans 3
kill -9 $parent; wait $parent 2>/dev/null
check "ranks end with their parent" await all_ended
check "... and say so once" test "$(grep -c "Error: the process that started the ranks is gone" orphans.txt)" = 1

# What has gone wrong on one or all: one sentence.
refuses() {  # refuses NAME CODE SENTENCE OPTIONS...
  local name=$1 code=$2 sentence=$3
  shift 3
  rm -rf bad
  gpus bad --after 3u --mini-batch-words 200 --optimizer-delay 1 "$@" >out.txt 2>&1
  check "$name ends with $code (was $?)" test $? = "$code"
  check "$name says '$sentence'" says "$sentence" out.txt || tail -n 5 out.txt
  check "... once" test "$(grep -c "Error: " out.txt)" = 1 || tail -n 30 out.txt
}
refuses "a GPU named twice" 1 "devices names GPU 1 twice" --devices 1 1
refuses "a GPU that is not there" 1 "devices: GPU 4 was asked for, must be 0 to 3: this machine has 4" --devices 0 4
check "... before anything starts" test "$(ls bad)" = ""
refuses "more GPUs than there are" 1 "devices: GPU 4 was asked for, must be 0 to 3" --num-devices 5
BOUGH_EMULATED_GPUS=0 refuses "no GPU at all" 1 "the NVIDIA driver finds no GPU" --devices all
refuses "a missing corpus" 1 "nowhere.en" --devices 0 1 --train-sets nowhere.en corpus/train.de
refuses "a failed script" 1 "valid-script" --devices 0 1 --valid-sets corpus/dev.en corpus/dev.de --valid-freq 2 \
  --valid-metrics valid-script --valid-script-path false
check "... saved before" test -s bad/model.npz.optimizer.npz
refuses "a diverged run" 3 "the run has diverged" --devices 0 1 --after 200u --learn-rate 1e38 --lr-warmup 0 \
  --clip-norm 0 --divergence-updates 2
"$bin/bough-train" -c config.yml --model bad/model.npz --devices 0 1 >out.txt 2>&1
check "a build without CUDA ends with 1" test $? = 1
check "... in one sentence" says "devices: GPUs were asked for, but this bough was built without CUDA" out.txt

# Ranks that mpirun starts take GPUs from the list.
if ldd "$program" | grep -q libmpi && command -v mpirun >/dev/null; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  mkdir mpi
  # shellcheck disable=SC2046
  timeout 120 mpirun -n 2 --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 "$program" \
    -c config.yml --model mpi/model.npz --devices 3 1 2 --after 4u $(cut_for 2) --quiet false >mpi.txt 2>&1
  check "ranks of mpirun give the same bits" test "$(parameters two)" = "$(parameters mpi)" || tail -n 5 mpi.txt
  check "... by MPI and NCCL" grep -q "2 processes on 1 machine (.*), MPI (.*), NCCL" mpi.txt
fi

wait "$stopped_parent"
check "a stopped rank ends with 1" test $? = 1
said_at=$(date -d "$(grep "Error: " stopped.txt | cut -c 2-20)" +%s)
check "... within 25 s" test $((said_at - stopped_at)) -le 25
check "... in one sentence that names it" says \
  "Error: rank 1 (GPU 0) was stopped and has given no sign of life for 20 s" stopped.txt
ranks=("${stopped_ranks[@]}")
check "... and all have ended" all_ended
report
