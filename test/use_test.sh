#!/usr/bin/env bash
# The programs as people meet them: a folder that is missing, a name that is a link, limits of the system, a stream that
# is given again. Usage: use_test.sh BUILD_FOLDER
set -u
. "$(dirname "$0")/train_cli.sh"

decode() { "$bin/bough-translate" --cpu-threads 1 --max-length-factor 0.5 --beam-size 1 "$@"; }
lines() { [ "$(wc -l <"$2")" = "$1" ]; }
ends_with() { [ "$code" = "$1" ]; }
refused() {  # refused NAME SENTENCE: the command before ended with 1 and said so, in one sentence
  check "$1" ends_with 1
  check "... in a sentence" says "$2" out.txt
}
value_of() { sed -n "s/^$2: *//p" "$1.progress.yml"; }

train m --after 2u
vocabs="--vocabs vocab.spm vocab.spm"
head -n 20 corpus/dev.en >in.txt
cp in.txt kept.txt

# Folders are made for every output.
train new/folder --after 1u --log logs/a/log --valid-log logs/b/log --metrics logs/c/m.jsonl --tempdir cache/d \
  --valid-sets corpus/dev.en corpus/dev.de --valid-metrics chrf --valid-translation-output out/e/translations.gz
for file in new/folder/model.npz logs/a/log logs/b/log logs/c/m.jsonl out/e/translations.gz; do
  check "a folder is made for $file" test -s "$file"
done
check "translations named .gz are packed" gzip -t out/e/translations.gz
# shellcheck disable=SC2086  # several options
decode -m m/model.npz $vocabs -i in.txt -o out/f/t.gz 2>out.txt
check "... those of bough-translate, too" test "$(gzip -dc out/f/t.gz | wc -l)" = 20

# Names of one model.
ln -s m/model.npz link.npz
ln -s later/model.npz dangling.npz
start m --after 100000u; child=$!
for _ in $(seq 400); do [ -s m/model.npz.lock ] && break; sleep 0.05; done
"$bin/bough-train" -c config.yml --model link.npz --after 3u >out.txt 2>&1
code=$?
refused "a link to a model that is being trained" "'m/model.npz' is being trained by process $child"
kill "$child"; wait "$child"
updates=$(value_of m/model.npz batches)
"$bin/bough-train" -c config.yml --model link.npz --after $((updates + 1))u
check "training goes on through a link" test "$(value_of m/model.npz batches)" = $((updates + 1))
"$bin/bough-train" -c config.yml --model dangling.npz --after 1u
check "a link may be there before its model" test -s later/model.npz.optimizer.npz
ln -s circle.npz circle.npz
"$bin/bough-train" -c config.yml --model circle.npz --after 1u >out.txt 2>&1
code=$?
refused "links in a circle" "Too many levels of symbolic links"
"$bin/bough-train" -c config.yml --model "$(printf 'a%.0s' $(seq 245)).npz" --after 1u >out.txt 2>&1
code=$?
refused "a name that is too long" "File name too long"
"$bin/bough-train" -c config.yml --model later/other.npz --valid-log in.txt/log >out.txt 2>&1
code=$?
refused "a log that cannot be opened has its option's name" "valid-log: 'in.txt/log' cannot be opened"

# Standard input and output that are one file; outputs that are inputs.
# shellcheck disable=SC2086,SC2094
decode -m m/model.npz $vocabs <in.txt >>in.txt 2>out.txt
code=$?
refused "translating a file to its own end" "'standard output' is input, too"
# shellcheck disable=SC2094
"$bin/bough-vocab" <in.txt >>in.txt 2>out.txt
code=$?
refused "a vocabulary at the end of its text" "standard output"
"$bin/bough-score" corpus/dev.de -i in.txt --html in.txt >out.txt 2>&1
code=$?
refused "a report over what is scored" "--html: 'in.txt' is an input, too"
"$bin/bough-average" link.npz m/model.npz m/model.npz >out.txt 2>&1
code=$?
refused "a mean over what is averaged" "'link.npz' is IN, too"
check "... and nothing was touched" same in.txt kept.txt

# Limits.
# shellcheck disable=SC2086
decode -m m/model.npz $vocabs -i in.txt --cpu-threads 100000 >out.txt 2>&1
code=$?
refused "more threads than any machine has" "cpu-threads is '100000'"
# shellcheck disable=SC2086
(ulimit -v 300000; decode -m m/model.npz $vocabs -i in.txt -o limited.txt 2>/dev/null)
check "little address space is enough to translate" lines 20 limited.txt
limit=40000  # just enough to start
until (ulimit -v $limit; "$bin/bough-train" --version >out.txt 2>&1); do limit=$((limit + 5000)); done
(ulimit -v $limit; train limited --after 1u --quiet false >out.txt 2>&1)
code=$?
refused "too little is no bug of ours" "(ulimit -v)"
(ulimit -f 1; "$bin/bough-vocab" <corpus/train.en >words.yml 2>out.txt)
code=$?
refused "a limit of files is an error of bough-vocab" "'standard output' cannot be written"
(ulimit -f 1; "$bin/bough-score" -sl -i corpus/dev.en -- corpus/dev.en >scores 2>out.txt)
code=$?
refused "... and of bough-score" "the output cannot be written"
"$bin/bough-score" corpus/dev.en -i corpus/dev.en corpus/dev.de -m ter --paired-bs -j 100000 >out.txt 2>&1
check "a hundred thousand threads are as many as there are cores" says '"TER' out.txt
train nowhere --tempdir /proc/none >out.txt 2>&1
code=$?
refused "a tempdir where nothing can be" "tempdir: no file can be written in '/proc/none'"
HOME=/proc TMPDIR=/proc/none train homeless --after 1u
check "neither HOME nor TMPDIR is needed" test -s homeless/model.npz

# Silence.
paste corpus/train.en corpus/train.de >all.tsv
streamed="--tsv --train-sets stdin --quiet false"
# shellcheck disable=SC2086
train stream $streamed <all.tsv 2>/dev/null
first=$(value_of stream/model.npz batches)
# shellcheck disable=SC2086
train stream $streamed <all.tsv 2>out.txt
check "a stream that had ended is trained on again" test "$(value_of stream/model.npz batches)" -gt $((first + first / 2))
check "... and said to be a pass of its own" says "these are pass 2" out.txt
# shellcheck disable=SC2086
train stream $streamed --after 1u <all.tsv 2>out.txt
check "a run with nothing to do says so" says "nothing is left to do" out.txt
# decoder.yml names files from its own folder, also where the run goes on by model.npz.yml, which names them from here.
mkdir settings
{ echo "relative-paths: true"; sed 's|corpus/|../&|g; s|vocab.spm|../&|g' config.yml; } >settings/config.yml
"$bin/bough-train" -c settings/config.yml --model moved/model.npz --after 1u
"$bin/bough-train" --model moved/model.npz --after 2u
check "a run of relative paths goes on" test "$(value_of moved/model.npz batches)" = 2
(cd moved && decode -c model.npz.decoder.yml -i ../in.txt >../out.txt 2>../err.txt)
check "... and its decoder.yml is of use in its folder" lines 20 out.txt
rm m/model.npz.optimizer.npz
train m --after 1u --quiet false 2>out.txt
check "a missing training state is said" says "'m/model.npz.optimizer.npz' is not: going on from its parameters alone" out.txt
: >empty
# shellcheck disable=SC2086
"$bin/bough-score" --model m/model.npz $vocabs -t empty empty --summary >out.txt 2>/dev/null
check "the sum over nothing is 0" test "$(cat out.txt)" = 0

report
