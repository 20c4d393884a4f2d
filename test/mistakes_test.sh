#!/usr/bin/env bash
# Wrong files and ends at wrong moments: nothing that exists is overwritten, nothing that was trained is lost.
# Usage: mistakes_test.sh BUILD_FOLDER
set -u
. "$(dirname "$0")/train_cli.sh"

vocabs="--vocabs vocab.spm vocab.spm"
refuses() {  # refuses NAME SENTENCE COMMAND...: it ends with 1 and says so
  local name=$1 sentence=$2
  shift 2
  "$@" >out.txt 2>&1
  check "$name ends with 1 (was $?)" test $? = 1
  check "... in a sentence" says "$sentence" out.txt
}
keeps() {  # keeps FILE NAME SENTENCE COMMAND...: the same, and FILE stays as it was
  local file=$1
  shift
  cp "$file" kept
  refuses "$@"
  check "... and touches nothing" same "$file" kept
}
updates() { sed -n "s/^batches: *//p" "$1/model.npz.progress.yml"; }

train m --after 3u
cp m/model.npz.decoder.yml de.yml
sed -i 's/[^ ]*model.npz/m\/model.npz/; s/[^ ]*vocab.spm/vocab.spm/' de.yml
head -n 20 corpus/dev.en >in.txt

# What is written over what is read.
translate="$bin/bough-translate -c de.yml --cpu-threads 1 --quiet"
# shellcheck disable=SC2086  # several words
{
  keeps de.yml "translations over their configuration" "output: 'de.yml' is a configuration, too" $translate -i in.txt -o de.yml
  keeps de.yml "a log in a configuration" "log: 'de.yml' is a configuration, too" $translate -i in.txt --log de.yml
}
cp config.yml own.yml
keeps own.yml "metrics over a configuration" "metrics: 'own.yml' is a configuration, too" \
  "$bin/bough-train" -c own.yml --model n/model.npz --metrics own.yml
echo "a note" >notes.txt
keeps notes.txt "metrics over a text" "metrics: 'notes.txt' holds something else" train n --after 1u --metrics notes.txt
keeps notes.txt "metrics in the log" "log: 'notes.txt' is metrics, too" train n --after 1u --metrics notes.txt --log notes.txt
gzip -c in.txt >in.gz
mkfifo pipe.gz
cat in.gz >pipe.gz &
# shellcheck disable=SC2086
check "a pipe named .gz is read to its end" test "$($translate -i pipe.gz | wc -l)" = 20
cp corpus/train.de tr.1
keeps tr.1 "translations over the training text" "valid-translation-output: 'tr.1' is train-sets, too" \
  train n --after 1u --train-sets corpus/train.en tr.1 --valid-sets corpus/dev.en corpus/dev.de --valid-freq 1u \
  --valid-metrics bleu --valid-translation-output 'tr.{U}'
cp corpus/dev.de ref.1
keeps ref.1 "translations over their references" "valid-translation-output: 'ref.1' is valid-sets, too" \
  train n --after 1u --valid-sets corpus/dev.en ref.1 --valid-freq 1u --valid-metrics bleu --valid-translation-output 'ref.{U}'
keeps m/model.npz "a report over its model" "output: 'm/model.npz' is files, too" \
  "$bin/bough-report" m/model.npz -o m/model.npz
cp in.txt text.bin
keeps text.bin "a model over the text of its calibration" "OUT: 'text.bin' is calibrate, too" \
  "$bin/bough-average" text.bin m/model.npz --export-int8 --calibrate text.bin --vocabs vocab.spm vocab.spm
# What ends before its first translation leaves the output as it was.
# shellcheck disable=SC2086
{
  keeps notes.txt "a shortlist that is not there" "nowhere.s2t" $translate -i in.txt -o notes.txt --shortlist nowhere.s2t
  keeps in.gz "... nor a packed one" "nowhere.s2t" $translate -i in.txt -o in.gz --shortlist nowhere.s2t
}
train n --after 1u --dec-cell ssru --log n.log
check "a cell that no layer has is told" says "dec-cell is ssru, but there is no cell" n.log
"$bin/bough-report" m/model.npz -o /dev/stdout | grep -q "^<!doctype html>"
check "a report goes through a pipe" test $? = 0
"$bin/bough-report" m/model.npz -o page.html.gz
check "... and is packed where its name says so" gzip -t page.html.gz

# Files that are something else.
refuses "the mean of an optimizer file" "is the optimizer file of a model" \
  "$bin/bough-average" out.npz m/model.npz.optimizer.npz
refuses "a model without an ending" "must end in .npz" "$bin/bough-average" out m/model.npz
"$bin/bough-average" small.bin m/model.npz --export-int8
refuses "the mean of a binary model" "is a binary model" "$bin/bough-average" out.npz small.bin
: >empty.gz
# shellcheck disable=SC2086
refuses "an empty .gz" "'empty.gz': empty, must be a whole gzip file" $translate -i empty.gz
# shellcheck disable=SC2086
refuses "translating with an optimizer file" "is the optimizer file of a model" \
  "$bin/bough-translate" -m m/model.npz.optimizer.npz $vocabs -i in.txt
printf '{"epo' >cut.jsonl  # a disk that was full at the first line
train cut --after 1u --metrics cut.jsonl
check "metrics that were cut begin anew" grep -q '^{"epoch":1,"update":1,' cut.jsonl
# shellcheck disable=SC2086
"$bin/bough-score" -m small.bin $vocabs -t in.txt in.txt --quiet --cpu-threads 1 >scores 2>out.txt
check "bough-score takes a .bin as a model" test "$(wc -l <scores)" = 20
refuses "standard input twice" "is standard input twice" \
  bash -c "echo x | '$bin/bough-score' -j 1 - -i - -b"
# shellcheck disable=SC2086
refuses "... of a model's scores" "train-sets is standard input twice" \
  "$bin/bough-score" --model m/model.npz $vocabs -t stdin stdin
mkfifo slow
printf '1\n' >short
# shellcheck disable=SC2086
(
  timeout 60 "$bin/bough-score" --model m/model.npz $vocabs -t slow short >out.txt 2>&1
  echo $? >code
) &
scorer=$!
exec 8>slow
printf '1\n2\n' >&8
sleep 1  # the shorter has ended before it grows
printf '2\n' >>short
exec 8>&-
wait $scorer
check "a file that grows while it is read ends with 1, or well" test "$(cat code)" -le 1
[ "$(cat code)" = 0 ] || check "... in a sentence" says "has grown since" out.txt

# Ends.
interrupt() {  # interrupt SIGNAL FOLDER OPTIONS...: a run that goes on without end, once it has begun
  local signal=$1 folder=$2
  shift 2
  start "$folder" --after 100000u --quiet false "$@"
  child=$!
  await logs "Up. 10 " run.txt
  kill "-$signal" $child
  wait $child
}
interrupt HUP hup 2>run.txt
check "a terminal that closes ends a run with 129" test $? = 129
check "... saved" test "$(updates hup)" -ge 10
before=$(updates hup)
start hup --after 100000u --quiet false 2>run.txt; child=$!
await logs ": Up. " run.txt
kill -HUP $child; kill -HUP $child  # as shell and kernel do
wait $child
check "... told twice, too" test "$(updates hup)" -gt "$before"
mkfifo logged
sed '/ Up. 10 /q' logged >log.txt &  # the reader of the log goes then
reader=$!
start tee --after 100000u --quiet false 2>logged; child=$!
wait $reader
kill -INT $child; wait $child
check "a log that nobody reads any more ends no run" test $? = 130
check "... which saves at its end" test "$(updates tee)" -gt 0

# Going on.
train once --after 2u --no-reload
"$bin/bough-train" --model once/model.npz --after 3u --quiet false >out.txt 2>&1
check "no-reload is for one start" test "$(updates once)" = 3
check "... after which a run goes on" says "resumed once/model.npz at update 2" out.txt
cp vocab.spm own.spm
train vocabulary --after 2u --vocabs own.spm own.spm
rm own.spm
refuses "a vocabulary that a model was trained with" "'own.spm' does not exist, but 'vocabulary/model.npz' was trained" \
  train vocabulary --after 3u --vocabs own.spm own.spm
check "... is not made anew" test ! -e own.spm
"$bin/bough-train" -c config.yml --model other/model.npz --after 1u --vocabs other.spm other.spm --seed 9 \
  --sentencepiece-options "--seed_sentencepiece_size=500"
cp other.spm own.spm
refuses "... nor another one taken" "the entries are not those" \
  train vocabulary --after 3u --vocabs own.spm own.spm --no-restore-corpus
refuses "shared embeddings of two vocabularies" "'left.spm' and 'right.spm' would be made" \
  train two --after 1u --vocabs left.spm right.spm
check "... none of which is made" test ! -e left.spm
train diverges --after 5u --save-freq 5u
cp diverges/model.npz.optimizer.npz good
train diverges --after 50u --save-freq 5u --learn-rate 1e30 --clip-norm 0 --divergence-updates 8 --quiet false >out.txt 2>&1
check "a run that diverges ends with 3" test $? = 3
check "... and leaves its last good checkpoint" same good diverges/model.npz.optimizer.npz
train diverges --after 12u --learn-rate 1e30 --clip-norm 0 --quiet false >out.txt 2>&1
check "one that has come to its end so, too, ends with 3" test $? = 3
check "... and leaves it" same good diverges/model.npz.optimizer.npz
check "... as it says" says "not saved while the updates diverge" out.txt
train unit --after 4u --lr-warmup 200t --lr-warmup-cycle --mini-batch-words 400 --optimizer-delay 1
train unit --after 6u --lr-warmup 20u --lr-report --mini-batch-words 400 --optimizer-delay 1 --quiet false >out.txt 2>&1
check "a warmup in another unit begins again" says "Restarting learning rate warmup" out.txt
train order --after 3u
train order --after 4u --shuffle none --quiet false >out.txt 2>&1
check "another order of the corpus is said" says "what the order of the corpus depends on" out.txt
fit="--mini-batch-words 0 --mini-batch-fit --workspace 8 --optimizer-delay 1"
# shellcheck disable=SC2086
{
  train fit --after 2u $fit
  train fit --after 3u $fit --optimizer-delay 3 --quiet false >out.txt 2>&1
}
check "another optimizer-delay fits the batch anew" says "looks for the largest batch again" out.txt
refuses "an epsilon of 0" "epsilon is 0, must be above" train n --after 1u --optimizer-params 0.9 0.98 0
train n --after 3u,2u
check "of a criterion given twice the sooner counts" test "$(updates n)" = 2
refuses "a metric given twice" "valid-metrics has bleu twice" \
  train n --after 1u --valid-sets corpus/dev.en corpus/dev.de --valid-metrics bleu bleu
mkfifo left right
cat corpus/train.en >left 2>/dev/null &
cat corpus/train.de >right 2>/dev/null &
refuses "a vocabulary of pipes" "cannot be made from left, which is read only once" \
  train pipes --after 1u --train-sets left right --vocabs pipes.spm pipes.spm
cat left right >all.txt

report
