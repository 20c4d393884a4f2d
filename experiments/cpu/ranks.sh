#!/usr/bin/env bash
# Training on the CPU by several processes: two ranks of one thread beside one process of two threads, and one process
# that mpirun starts beside one that nobody starts. 3+3 layers, width 256, updates of 4,096 target tokens. The runs take
# turns; prints a table of medians and writes result-ranks.json beside this script. The machine should be idle.
#
# Usage: ranks.sh [--data FOLDER] [--work FOLDER] [--programs FOLDER] [--rounds N] [--updates N]
#   --data FOLDER      files as experiments/multi30k/README.md lists them; without it they are downloaded into the work
#                      folder
#   --work FOLDER      vocabulary, token cache, models; default: ${XDG_CACHE_HOME:-~/.cache}/bough/ranks
#   --programs FOLDER  where bough-train is; without it it is built into build/
#   --rounds N         turns of every run; default 5
#   --updates N        measured in a run, behind as many that are not; default 12
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
. "$here/../multi30k/data.sh"

data="" work=$caches/ranks programs="" rounds=5 updates=12
take_options "data work programs rounds updates" "$@"
make_work
multi30k_data "$data" "$work"

cd "$bough"
experiments/install.sh --tests
have_programs bough-train
head=$(result_head)
python3 "$here/ranks.py" "$here/result-ranks.json" "$work" "$head" "$rounds" "$updates" "$programs/bough-train" \
  --train-sets "$data/train.en" "$data/train.de" --vocabs "$work/vocab.spm" "$work/vocab.spm" --dim-vocabs 8000 8000 \
  --tied-embeddings-all --dim-emb 256 --transformer-dim-ffn 1024 --transformer-heads 4 --enc-depth 3 --dec-depth 3 \
  --transformer-dropout 0.1 --label-smoothing 0.1 --max-length 100 --learn-rate 1e-4 --seed 1 --mini-batch-words 4096
