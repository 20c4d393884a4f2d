#!/usr/bin/env bash
# From the start of bough-train to its first update on Multi30k, vocabularies present, with the token cache missing and
# there; and the most memory it had. Prints a table and writes result-startup.json beside this script.
#
# Usage: startup.sh [--data FOLDER] [--work FOLDER]
#   --data FOLDER  files as experiments/multi30k/README.md lists them; without it they are downloaded into the work folder
#   --work FOLDER  vocabulary, token cache, models; default: ${XDG_CACHE_HOME:-~/.cache}/bough/startup
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
. "$here/../multi30k/data.sh"

data=""
work=$caches/startup
take_options "data work" "$@"
make_work
multi30k_data "$data" "$work"

cd "$bough"
experiments/install.sh --python
cmake --preset cpu >/dev/null
cmake --build build --target bough-train >&2
head=$(result_head)
python3 "$here/startup.py" "$here/result-startup.json" "$work" "$head" build/bough-train \
  -c experiments/multi30k/config.yml --train-sets "$data/train.en" "$data/train.de" \
  --vocabs "$work/vocab.spm" "$work/vocab.spm"
