#!/usr/bin/env bash
# A Marian user's afternoon on generated sentences: a dumped configuration, training with a validation script, the best
# iteration from the log, n-best lists, rescoring from right to left, an ensemble, word alignments. Commands are those of
# Marian's documentation and examples, program names aside. Every step is checked; the first one that is wrong ends the
# script. README.md says what is checked.
#
# Usage: run.sh [--work FOLDER] [--programs FOLDER] [--sentences N] [--updates N] [--bleu B]
#   --work FOLDER      everything made, in afternoon/, which is emptied first; default: ${XDG_CACHE_HOME:-~/.cache}/bough/migration
#   --programs FOLDER  bough's programs; without it they are built into build/
#   --sentences N      of the training corpus; default: 5000
#   --updates N        of each of three models; default: 600
#   --bleu B           what every translation of the test set must reach; default: 50
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"

programs="" sentences=5000 updates=600 bleu=50
work=$caches/migration
take_options "work programs sentences updates bleu" "$@"
make_work
cd "$bough"
experiments/install.sh --python
have_programs
rm -rf "${work:?}/afternoon"
mkdir -p "$work/afternoon"
cd "$work/afternoon"

# From here on as in Marian's examples; without a GPU, so --cpu-threads stands where they have --devices.
marian="$programs/bough-train" marian_decoder="$programs/bough-translate" marian_scorer="$programs/bough-score"
marian_vocab="$programs/bough-vocab"
step() { echo "$((SECONDS)) s: $1" >&2; }
right() { python3 -B "$here/checks.py" "$@" || fail "$1: wrong; the files are in '$PWD'"; }

step "a corpus, tokenised; a joint vocabulary; word alignments"
mkdir -p data model scripts
"$programs/bough-example-corpus" data/raw "$sentences" 60 100
for part in train dev test; do
  for language in en de; do sed 's/[.,:;?!()"]/ & /g; s/  */ /g; s/^ //; s/ $//' "data/raw/$part.$language" >"data/$part.$language"; done
done
cat data/train.en data/train.de | "$marian_vocab" --max-size 3000 >model/vocab.ende.yml
right vocabulary model/vocab.ende.yml
python3 -B "$here/align.py" data/train.en data/train.de >data/train.align

step "a configuration, dumped"
cat >scripts/validate.sh <<END
#!/bin/bash
${programs@Q}/bough-score data/dev.de -i "\$1" -m bleu -tok none -b -w 2 --force
END
"$marian" \
  --model model/model.npz --type transformer \
  --train-sets data/train.en data/train.de \
  --max-length 100 \
  --vocabs model/vocab.ende.yml model/vocab.ende.yml \
  --mini-batch 64 -w 1000 --maxi-batch 100 \
  --early-stopping 10 --cost-type=ce-mean-words \
  --valid-freq "$((updates / 3))" --save-freq "$((updates / 3))" --disp-freq "$((updates / 6))" \
  --valid-metrics ce-mean-words perplexity translation \
  --valid-sets data/dev.en data/dev.de \
  --valid-script-path "bash ./scripts/validate.sh" \
  --valid-translation-output data/dev.en.output --quiet-translation \
  --valid-mini-batch 64 \
  --beam-size 6 --normalize 0.6 \
  --log model/train.log --valid-log model/valid.log \
  --enc-depth 2 --dec-depth 2 --dim-emb 64 --transformer-dim-ffn 256 \
  --transformer-heads 4 \
  --transformer-postprocess-emb d \
  --transformer-postprocess dan \
  --transformer-dropout 0.1 --label-smoothing 0.1 \
  --learn-rate 0.003 --lr-warmup "$((updates / 6))" --lr-decay-inv-sqrt "$((updates / 6))" --lr-report \
  --optimizer-params 0.9 0.98 1e-09 --clip-norm 5 \
  --tied-embeddings-all \
  --after-batches "$updates" \
  --cpu-threads 1 --sync-sgd --seed 1111 \
  --dump-config minimal >config.yml
right configuration config.yml

step "training"
"$marian" -c config.yml --guided-alignment data/train.align --transformer-guided-alignment-layer 1 --quiet
right training model "$updates"

step "the best iteration of the validation script"
best=$(grep translation model/valid.log | sort -rg -k12,12 -t' ' | cut -f8 -d' ' | head -n 1)
"$marian_decoder" -c model/model.npz.decoder.yml -m "model/model.iter$best.npz" --cpu-threads 1 -b 12 -n -w 600 --quiet \
  --quiet-translation <data/test.en >data/test.best
right translation data/test.best data/test.de "$programs" "$bleu"
right validation model/valid.log "$best" data/dev.en.output data/dev.de "$programs"

step "n-best lists, batched"
decode="-c model/model.npz.decoder.yml --cpu-threads 1 --mini-batch 16 --maxi-batch 100 --maxi-batch-sort src -w 600 --quiet
  --quiet-translation -b 6 --normalize=1"
# shellcheck disable=SC2086  # options are words
"$marian_decoder" $decode -i data/test.en -o data/test.1best
# shellcheck disable=SC2086
"$marian_decoder" $decode -i data/test.en --n-best >data/test.nbest
right nbest data/test.nbest data/test.1best 6

step "another model, and one from right to left"
"$marian" -c config.yml --model model/second.npz --log model/second.log --valid-log model/second.valid.log --seed 2222 --quiet
"$marian" -c config.yml --model model/r2l.npz --log model/r2l.log --valid-log model/r2l.valid.log --seed 3333 --right-left --quiet

step "rescoring"
for feature in L2R R2L; do
  case $feature in L2R) scored=model/model.npz ;; R2L) scored=model/r2l.npz ;; esac
  "$marian_scorer" -m "$scored" -v model/vocab.ende.yml model/vocab.ende.yml --cpu-threads 1 --mini-batch 16 --maxi-batch 100 \
    --maxi-batch-sort trg --n-best --n-best-feature "$feature" -t data/test.en data/test.nbest --quiet >"data/test.nbest.$feature"
done
right rescoring data/test.nbest data/test.nbest.L2R data/test.nbest.R2L data/test.rescored
right translation data/test.rescored data/test.de "$programs" "$bleu"

step "an ensemble"
# shellcheck disable=SC2086
"$marian_decoder" $decode -m model/model.npz model/second.npz --weights 0.5 0.5 -i data/test.en --n-best >data/test.ensemble
# shellcheck disable=SC2086
"$marian_decoder" $decode -m model/model.npz model/model.npz --weights 0.5 0.5 -i data/test.en -o data/test.twice
right ensemble data/test.ensemble data/test.twice data/test.1best data/test.ensemble.1best
right translation data/test.ensemble.1best data/test.de "$programs" "$bleu"

step "word alignments"
# shellcheck disable=SC2086
"$marian_decoder" $decode --alignment hard -i data/test.en -o data/test.aligned
for name in model second; do
  "$marian_scorer" -m "model/$name.npz" -v model/vocab.ende.yml model/vocab.ende.yml --cpu-threads 1 --mini-batch 64 \
    --alignment hard -t data/train.en data/train.de --quiet >"data/train.scored.$name"
done
right alignments data/test.aligned data/test.1best data/test.en data/train.scored.model data/train.scored.second data/train.align
step "everything as it should be"
