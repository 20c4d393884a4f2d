#!/usr/bin/env bash
# bough-train as a user runs it: resume after kills, signals, and one clear sentence for bad input.
# Usage: train_cli_test.sh BUILD_FOLDER
set -u
. "$(dirname "$0")/train_cli.sh"

# 60 updates at once, or 30, a kill -9 somewhere behind them, and the rest: the same bits.
train whole --after 60u --save-freq 100000
check "an uninterrupted run ends well" test -s whole/model.npz
start parts --after 100000u --save-freq 30; child=$!
while [ ! -e parts/model.npz.optimizer.npz ]; do sleep 0.05; done
kill -9 $child; wait $child 2>/dev/null
train parts --after 60u --save-freq 100000
check "resume after kill -9 gives the same bits" test "$(parameters whole)" = "$(parameters parts)"

# A model of more layers than its checkpoint has arrays.
deep="--enc-depth 7 --dec-depth 1"
# shellcheck disable=SC2086
train deep --after 4u $deep && train deep --after 6u $deep
check "a deeper model resumes" test $? = 0

# Sampled segmentations, killed in the second epoch, the encoded epochs lost, other threads: the same bits.
alphas="--sentencepiece-alphas 0.2 0.1"
# shellcheck disable=SC2086  # several options
train sampled --after 60u $alphas --data-threads 1
# shellcheck disable=SC2086
start sampled-parts --after 100000u --save-freq 40 $alphas; child=$!
while [ ! -e sampled-parts/model.npz.optimizer.npz ]; do sleep 0.05; done
kill -9 $child; wait $child 2>/dev/null
rm -f ./*.tokens
# shellcheck disable=SC2086
train sampled-parts --after 60u --save-freq 100000 --data-threads 3 $alphas
check "resume with sampled segmentations gives the same bits" \
  test "$(parameters sampled)" = "$(parameters sampled-parts)"
check "... other bits than without" test "$(parameters sampled)" != "$(parameters whole)"

# The instruments change no bit, and put a line into the metrics every N updates, also across a resume.
logged="--log-layer-norms 10 --log-model-update"
# shellcheck disable=SC2086  # several options
train logged --after 30u $logged && train logged --after 60u $logged
check "log-layer-norms leaves the bits alone" test "$(parameters whole)" = "$(parameters logged)"
check "... and logs every ten updates" test "$(grep -c layer_update_norms logged/model.npz.metrics.jsonl)" = 6
check "... with model updates" test "$(grep -c '"model_update":[0-9]' logged/model.npz.metrics.jsonl)" = 6

# A page of both runs, one of which seems to be writing its next line.
cp whole/model.npz.metrics.jsonl going-on.jsonl
printf '{"epoch":1,"upd' >>going-on.jsonl
"$bin/bough-report" logged/model.npz going-on.jsonl >report.html
check "bough-report makes a page" test $? = 0
check "... of both runs" test "$(grep -c '"name":"logged/model.npz"\|"name":"going-on.jsonl"' report.html)" = 2
check "... with layers" grep -q '"layers":\["embeddings","encoder_l1"' report.html
check "... whole" test "$(tail -n 1 report.html)" = '</html>'
"$bin/bough-report" --files logged/model.npz.metrics.jsonl -o pages/report.html
check "... and into a file" test -s pages/report.html
for wrong in missing.npz config.yml /dev/null; do
  "$bin/bough-report" $wrong >out.txt 2>&1
  check "bough-report of $wrong ends with 1" test $? = 1
  check "... in one sentence" test "$(grep -c "^bough-report: .*$wrong" out.txt) $(wc -l <out.txt)" = "1 1"
done
"$bin/bough-report" logged/model.npz -o logged/model.npz.metrics.jsonl >out.txt 2>&1
check "bough-report writes over no metrics" says "output: 'logged/model.npz.metrics.jsonl' is files, too" out.txt

# Every other residual kind: resumed is uninterrupted, the model translates, and comes out of an average.
for kind in admin b2t residual-dual rezero sub-ln dlcl post-ln pre-ln deepnorm; do
  kind_options="--transformer-residual $kind --save-freq 100000"
  # shellcheck disable=SC2086  # several options
  train "$kind-whole" --after 10u $kind_options --quiet false >"$kind.txt" 2>&1 && {
    train "$kind-parts" --after 4u $kind_options
    train "$kind-parts" --after 10u $kind_options --log-layer-norms 3 --gradient-checkpointing
  }
  check "$kind: resumed, logged and recomputed gives the same bits" \
    test "$(parameters "$kind-whole")" = "$(parameters "$kind-parts")"
  "$bin/bough-average" "$kind.npz" "$kind-whole/model.npz" "$kind-parts/model.npz"
  head -n 3 corpus/test.en | "$bin/bough-translate" -m "$kind.npz" -v vocab.spm vocab.spm --quiet >"$kind.de"
  check "$kind: an average translates" test "$(wc -l <"$kind.de")" = 3
done
check "admin profiles before its first update" test "$(grep -c 'admin: omega from the first batch' admin.txt)" = 1
check "... and no other kind does" test "$(cat b2t.txt deepnorm.txt | grep -c omega)" = 0
"$bin/bough-average" --export rezero-plain.npz rezero-whole/model.npz >out.txt 2>&1
check "a kind without plain form is not exported" test $? = 1
check "... and says why" says "transformer-residual is rezero, which no plain" out.txt

# With tab-separated fields a validation set has those of training, or the text alone.
with_points() { sed 's/.*/0-0/' "$1" | paste "$1" - "$2"; }
with_points corpus/train.en corpus/train.de >train.tsv
with_points corpus/dev.en corpus/dev.de >all.tsv
paste corpus/dev.en corpus/dev.de >text.tsv
for valid in all text; do
  train $valid-fields --after 2u --tsv --train-sets train.tsv --guided-alignment 1 --valid-sets $valid.tsv \
    --valid-freq 2 --valid-metrics ce-mean-words --quiet false >$valid.txt 2>&1
  grep -o "ce-mean-words : [0-9.]*" $valid.txt >$valid.ce
done
check "valid-sets has the fields of train-sets" test -s all.ce
check "... or the text alone" cmp all.ce text.ce
paste text.tsv text.tsv >wrong.tsv
train wrong-fields --after 2u --tsv --train-sets train.tsv --guided-alignment 1 --valid-sets wrong.tsv >out.txt 2>&1
check "other numbers of fields are one sentence" says "wrong.tsv line 1: 4 fields, must be 2" out.txt

# A recurrent decoder: resumed, with what the checkpoint says of it, is uninterrupted; exported, the model translates the
# same; what does not fit is refused.
rnn="--transformer-decoder-autoreg rnn --dec-cell ssru"
# shellcheck disable=SC2086  # several options
{
  train rnn-whole --after 10u --save-freq 100000 $rnn
  train rnn-parts --after 4u --save-freq 100000 $rnn
}
train rnn-parts --after 10u --save-freq 100000 --gradient-checkpointing --cpu-threads 1
check "recurrent decoder: resumed and recomputed gives the same bits" \
  test "$(parameters rnn-whole)" = "$(parameters rnn-parts)"
"$bin/bough-average" --export rnn-plain.npz rnn-whole/model.npz
for model in rnn-whole/model.npz rnn-plain.npz; do
  "$bin/bough-translate" -m $model -v vocab.spm vocab.spm --quiet -b 2 <corpus/test.en >"$model.de"
done
check "... its export translates the same" cmp rnn-whole/model.npz.de rnn-plain.npz.de
train rnn-gru --after 2u --transformer-decoder-autoreg rnn >out.txt 2>&1
check "another cell is refused" says "dec-cell is 'gru', must be ssru" out.txt
printf '%s\n' '</s> </s> 0.1' >lex.s2t
listed() { "$bin/bough-translate" -m rnn-plain.npz -v vocab.spm vocab.spm --quiet -b 2 --shortlist "$@" <corpus/test.en; }
listed lex.s2t 20 >listed.de
check "with a shortlist it translates" test "$(wc -l <listed.de)" = 60
check "... to other words" test "$(cat listed.de)" != "$(cat rnn-plain.npz.de)"
listed nowhere.bin false >out.txt 2>&1
check "a missing shortlist is one sentence" says "nowhere.bin" out.txt

# Another schedule takes over from a bound, which belongs to the one before.
train bound --after 2u --branchnorm-schedule bounded --branchnorm-bound 0.5 0.9
train bound --after 4u --branchnorm-schedule linear
check "another schedule takes over from bounded" grep -q 'batches: 4' bound/model.npz.progress.yml

# A diverged run ends with 3 and one sentence; what it logged says so, too.
train diverged --after 200u --learn-rate 50 --lr-warmup 0 --clip-norm 0 --divergence-threshold 20 \
  --divergence-updates 3 --quiet false >out.txt 2>&1
check "a loss above the threshold ends with 3" test $? = 3
check "... in one sentence" test "$(grep -c "Error: train: the run has diverged: the loss was above" out.txt)" = 1
check "... that names a layer" grep -q "largest gradient norm in [a-z]*coder_l[12] (" out.txt
check "... and so do the metrics" says '"diverged":"train: the run' diverged/model.npz.metrics.jsonl
train infinite --after 200u --learn-rate 1e38 --lr-warmup 0 --clip-norm 0 --divergence-updates 4 \
  --quiet false >out.txt 2>&1
check "gradients that are not finite end with 3" test $? = 3
check "... in one sentence" says "the gradient was not finite in 4 updates in a row" out.txt
train ramp --after 5u --branchnorm-schedule by-layer --branchnorm-max-step 4 --quiet false >out.txt 2>&1
check "a ramp that the run cannot finish is a warning" says "reaches 1 at 8u, but the run ends at 5u" out.txt
check "... once, and at the end" says "the run ended at alpha 0.6250" out.txt

# Kills at random moments, inside saves too: the checkpoint is always whole and always goes on.
for i in 1 2 3 4 5 6 7 8; do
  start kills --after 60u --save-freq 1; child=$!
  sleep "0.$((RANDOM % 6))$((RANDOM % 10))"
  kill -9 $child 2>/dev/null; wait $child 2>/dev/null
done
train kills --after 60u --save-freq 100000
check "random kills lose nothing" test "$(parameters whole)" = "$(parameters kills)"
check "no temporary file stays" test -z "$(find kills -name '*.tmp')"

# SIGTERM and SIGINT save and end with 128 + the signal.
for signal in TERM:143 INT:130; do
  start "sig${signal%:*}" --after 100000u --save-freq 100000; child=$!
  sleep 2
  kill "-${signal%:*}" $child; wait $child
  check "SIG${signal%:*} ends with ${signal#*:}" test $? = "${signal#*:}"
  check "SIG${signal%:*} saves" test -s "sig${signal%:*}/model.npz.optimizer.npz"
done

# A checkpoint goes on with the model it was made for only.
cp -r whole other
for change in "--transformer-heads 2" "--transformer-residual post-ln"; do
  # shellcheck disable=SC2086  # an option and its value
  train other --after 70u $change >out.txt 2>&1  # quiet, but for errors
  check "resuming with $change is refused" test $? = 1
  check "... and says what was" says "was written with" out.txt
done
check "... and the checkpoint is left alone" test "$(parameters other)" = "$(parameters whole)"

# Averages and export of any checkpoint translate.
"$bin/bough-average" averaged.npz whole/model.npz parts/model.npz
check "bough-average writes a model" test -s averaged.npz
"$bin/bough-average" --export exported.npz whole/model.npz
"$bin/bough-translate" -m exported.npz -v vocab.spm vocab.spm --quiet <corpus/test.en >exported.de
check "an exported model translates every line" test "$(wc -l <exported.de)" = 60
"$bin/bough-translate" -c whole/model.npz.decoder.yml --quiet <corpus/test.en >translated.de
check "every input line gives a line" test "$(wc -l <translated.de)" = 60
printf '\n\none\n' | "$bin/bough-translate" -c whole/model.npz.decoder.yml --quiet >empty.de
check "empty lines stay empty lines" test "$(head -n 2 empty.de | tr -d '\n' | wc -c)" = 0

# Score by the model, and start from another model's parameters.
"$bin/bough-score" --model whole/model.npz --vocabs vocab.spm vocab.spm --train-sets corpus/test.en corpus/test.de \
  --quiet >scores.txt
check "the model scores every pair" test "$(grep -cE '^-[0-9]+\.[0-9]{6}$' scores.txt)" = 60
train tuned --pretrained-model whole/model.npz --transformer-residual pre-ln --transformer-preprocess n \
  --transformer-postprocess da --transformer-postprocess-top n --after 2u --quiet false >out.txt 2>&1
check "pretrained-model takes the arrays of the same name" says "arrays are those of whole/model.npz" out.txt

# Targets are reversed for right-left models.
train forwards --after 3u --save-freq 1000 --shuffle none
train backwards --after 3u --save-freq 1000 --shuffle none --right-left
check "right-left trains on reversed targets" test "$(parameters forwards)" != "$(parameters backwards)"

# Bad input: exit code 1, one sentence that says what to do, nothing overwritten.
refuses() {  # refuses NAME SENTENCE-PART OPTIONS...
  local name=$1 part=$2
  shift 2
  rm -rf bad; mkdir bad
  timeout 120 "$bin/bough-train" -c config.yml --model bad/model.npz --quiet false "$@" >out.txt 2>&1
  check "$name: exit code 1 (was $?)" test $? = 1
  check "$name: says '$part'" says "$part" out.txt
  says "$part" out.txt || tail -n 2 out.txt
  check "$name: no model" test ! -e bad/model.npz
}
refuses "unknown option" "did you mean" --label-smothing 0.1
refuses "wrong type" "label-smoothing" --label-smoothing much
refuses "wrong range" "label-smoothing" --label-smoothing 1.5
refuses "wrong name" "transformer-residual" --transformer-residual deep
refuses "refused option" "dynamic-gradient-scaling" --dynamic-gradient-scaling 2
refuses "GPU where none is" "devices" --devices 0 --cpu-threads 0
head -n 599 corpus/train.de >short.de
refuses "line counts" "599" --train-sets corpus/train.en short.de
refuses "missing corpus" "nowhere.en" --train-sets nowhere.en corpus/train.de
: >empty.en
refuses "empty corpus" "empty.en" --train-sets empty.en empty.en
refuses "everything too long" "max-length" --max-length 1
printf 'good\n\xff\xfe bad\n' >invalid.en; printf 'gut\nschlecht\n' >valid.de
refuses "invalid UTF-8" "UTF-8" --train-sets invalid.en valid.de
refuses "missing validation set" "nowhere.de" --valid-sets corpus/dev.en nowhere.de
refuses "a folder as model" "model" --model corpus
check "config with a typo names file and line" bash -c '
  printf "dim-emb: 32\nlabel-smothing: 0.1\n" >typo.yml
  ! '"$bin"'/bough-train -c typo.yml 2>typo.txt && grep -q "typo.yml" typo.txt && grep -q "2" typo.txt'

head -c 10000 whole/model.npz.optimizer.npz >whole.cut
mkdir -p cut && cp whole/model.npz cut/ && cp whole.cut cut/model.npz.optimizer.npz
train cut --after 70u --quiet false >out.txt 2>&1
check "a truncated checkpoint is refused" test $? = 1
check "... with its name" says "model.npz.optimizer.npz" out.txt
check "... and left alone" same whole.cut cut/model.npz.optimizer.npz
echo "not a model" >foreign.npz
"$bin/bough-translate" -m foreign.npz -v vocab.spm vocab.spm </dev/null >out.txt 2>&1
check "a foreign file is refused" test $? = 1
check "... with its name" says "foreign.npz" out.txt
printf '%s\n' '</s>' '<unk>' a b c >tiny.txt
"$bin/bough-translate" -m whole/model.npz -v tiny.txt tiny.txt </dev/null >out.txt 2>&1
check "a vocabulary that does not fit is refused" test $? = 1
check "... with its name" says "tiny.txt" out.txt

# A refused resume changes no file; a failed script loses no training; the seed of the clock stays.
cp -r whole refused && (cd refused && cksum ./*) >before.txt
train refused --after 70u --max-length 60 2>/dev/null
check "another max-length is refused" test $? = 1
check "... and nothing was written" test "$(cat before.txt)" = "$(cd refused && cksum ./*)"
valid="--valid-sets corpus/dev.en corpus/dev.de --valid-freq 2"
train script --after 5u $valid --valid-metrics valid-script --valid-script-path false 2>/dev/null
check "a script that fails ends with 1" test $? = 1
check "... after saving" test -s script/model.npz.optimizer.npz
printf '#!/bin/sh\ntest -s "$1" && echo 3\n' >judge.sh
chmod +x judge.sh
train judged --after 4u --valid-freq 2 --valid-metrics valid-script --valid-script-path judge.sh --log judged.log
check "a script beside us judges models, without validation files" test "$(grep -c "valid-script : 3" judged.log)" = 2
train unjudged --after 2u --valid-freq 2 --valid-metrics bleu --log unjudged.log
check "... other metrics need some" says "valid-sets is missing" unjudged.log
train clock --seed 0 --after 2u; first=$(grep ^seed: clock/model.npz.yml)
train clock --seed 0 --after 4u
check "a resumed run keeps its seed" test "$first" = "$(grep ^seed: clock/model.npz.yml)"
train learned --transformer-train-position-embeddings --max-length 30 --after 2u $valid --valid-metrics perplexity
check "validation beyond the learned positions" test $? = 0
train closed --after 12u --disp-freq 5 --quiet false 2>&-
check "log lines stay out of files when stderr is closed" test "$(grep -c '^[^{]' closed/model.npz.metrics.jsonl)" = 0

# A full disk while saving: one sentence, and the earlier checkpoint stays as it was.
cp -r whole full
(ulimit -f 20; train full --after 70u --save-freq 5 --quiet false >out.txt 2>&1)
check "a full disk ends with 1" test $? = 1
check "... and keeps the checkpoint" test "$(parameters full)" = "$(parameters whole)"

report
