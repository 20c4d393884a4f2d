#!/usr/bin/env bash
# What several threads do, under ThreadSanitizer: tests of data loader, prefetch, thread pool and ordered work, then the
# programs on a tiny model. Some minutes, most of them to build. Usage: test/tsan.sh
set -eu
cd "$(dirname "$0")/.."
experiments/install.sh --tests
cmake --preset tsan >/dev/null
cmake --build build-tsan --target bough-thread-test bough-train bough-translate bough-score bough-example-corpus
bin=$PWD/build-tsan
# oneDNN is not compiled for it: what orders the first use of its cache's lock is not seen.
export TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1
"$bin/bough-thread-test"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$bin/bough-example-corpus" corpus 600 40 60
echo "tsan: training"
"$bin/bough-train" --quiet --train-sets corpus/train.en corpus/train.de --valid-sets corpus/dev.en corpus/dev.de \
  --vocabs vocab.spm vocab.spm --dim-vocabs 300 300 --tied-embeddings-all --dim-emb 32 --transformer-heads 4 \
  --transformer-dim-ffn 64 --enc-depth 2 --dec-depth 2 --transformer-residual branchnorm --transformer-dropout 0.1 \
  --sentencepiece-alphas 0.2 0.1 --mini-batch-words 400 --optimizer-delay 2 --cpu-threads 3 --data-threads 3 \
  --max-length 100 --tempdir . --after 30u --save-freq 10u --valid-freq 15u --valid-metrics ce-mean-words chrf --seed 1
echo "tsan: translating and scoring"
"$bin/bough-translate" -c model.npz.decoder.yml --quiet --cpu-threads 3 --mini-batch 4 <corpus/test.en >test.out.de
"$bin/bough-score" --model model.npz --vocabs vocab.spm vocab.spm --train-sets corpus/test.en corpus/test.de --quiet \
  --cpu-threads 3 --mini-batch 4 >scores
cp corpus/test.en other.de
"$bin/bough-score" corpus/test.de -i test.out.de other.de -m bleu chrf ter --paired-bs -j 4 >/dev/null
echo "tsan: clean"
