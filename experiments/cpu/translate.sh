#!/usr/bin/env bash
# Translating with a Transformer of Base size (6+6 layers, d 512, V 20,000, random weights), and with the trained model of
# experiments/multi30k, one thread, beside CTranslate2 in one run: processor seconds and peak memory. The end of sentence
# is impossible in the first, and both have as many steps. First with AVX-512 hidden from both, then, where the machine has
# it, with it. Prints a table and writes result-translate.json beside this script.
#
# Usage: translate.sh [--data FOLDER] [--work FOLDER] [--rounds N] [--types "float32 int8"]
#   --data FOLDER   Multi30k, as experiments/multi30k/README.md lists it; without it it is downloaded into the work folder
#   --work FOLDER   a virtual environment with CTranslate2 and a portable build of bough; default:
#                   ${XDG_CACHE_HOME:-~/.cache}/bough/translate-speed
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
. "$here/../multi30k/data.sh"

data=""
work=$caches/translate-speed
rounds=3
types="float32 int8"
take_options "data work rounds types" "$@"
make_work
multi30k_data "$data" "$work"

cd "$bough"
experiments/install.sh
make_venv "$work/venv" ctranslate2 pyyaml sentencepiece
cmake -S . -B "$work/build" -G Ninja -DBOUGH_ARCH=portable >/dev/null
cmake --build "$work/build" --target bough-train bough-decode-speed >&2
head=$(result_head)
# shellcheck disable=SC2086  # types are words
OMP_NUM_THREADS=1 exec "$work/venv/bin/python" -B "$here/translate.py" "$work" "$data" "$here/result-translate.json" \
  "$head" "$rounds" $types
