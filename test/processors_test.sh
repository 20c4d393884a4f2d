#!/usr/bin/env bash
# The programs of a portable build on processors that this machine is not, in qemu: without AVX-512, and without AVX.
set -u
# shellcheck source=test/checks.sh
. "$(dirname "$0")/checks.sh"
if ! "$bin/bough-train" --build-info | grep -q "for portable"; then
  echo "skipped: this build is for one processor; cmake --preset package makes one for all"
  exit 77
fi
if ! command -v qemu-x86_64-static >/dev/null; then
  echo "skipped: qemu-x86_64-static is not there (Debian: qemu-user-static)"
  exit 77
fi
on() { qemu-x86_64-static -cpu "$@" 2> >(grep -v "TCG doesn't support" >&2); }  # on PROCESSOR PROGRAM ARGUMENT...

"$bin/bough-example-corpus" corpus 200 20 20
train() {  # train PROCESSOR NAME
  on "$1" "$bin/bough-train" --model "$2.npz" --train-sets corpus/train.en corpus/train.de --vocabs vocab.spm vocab.spm \
    --dim-vocabs 200 200 --dim-emb 16 --transformer-heads 2 --transformer-dim-ffn 32 --enc-depth 1 --dec-depth 1 \
    --mini-batch-words 200 --max-length 30 --after 3u --disp-freq 1 --disp-first 3 --cpu-threads 1 --data-threads 1 --tempdir . \
    --transformer-dropout 0.1 --seed 1 >"$2.txt" 2>&1
}
sentence() { head -n 2 corpus/test.en; }
"$bin/bough-train" --version >version
for processor in Haswell Nehalem; do
  on $processor "$bin/bough-train" --version >found
  check "$processor: a program starts" same version found
  train $processor $processor
  check "$processor: a model is trained" test $? = 0
  sentence | on $processor "$bin/bough-translate" -m $processor.npz -v vocab.spm vocab.spm --cpu-threads 1 >$processor.out 2>log
  check "$processor: it translates" test "$(wc -l <$processor.out)" = 2
  on $processor "$bin/bough-score" corpus/test.en -i corpus/test.en --score-only >score.txt
  check "$processor: translations are scored" test "$(cat score.txt)" = 100.0
done
check "without AVX-512 AVX2 is used" says "float32, avx2" Haswell.txt
check "... of which nothing is said" test "$(grep -c "lacks" Haswell.txt)" = 0
check "without AVX2 one sentence says what that means" test "$(grep -c "this CPU lacks AVX2" Nehalem.txt)" = 1

report
