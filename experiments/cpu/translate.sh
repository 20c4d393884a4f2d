#!/usr/bin/env bash
# Translating with a Transformer of Base size (6+6 layers, d 512, V 20,000, random weights), one thread, beside CTranslate2
# in one run: processor seconds and peak memory; the end of sentence is impossible in both, so both do the same work. First
# with AVX-512 hidden from both, then, where the machine has it, with it. Prints a table and writes result-translate.json
# beside this script.
#
# Usage: translate.sh [--work FOLDER] [--rounds N] [--types "float32 int8"]
#   --work FOLDER   a virtual environment with CTranslate2 and a portable build of bough; default:
#                   ${XDG_CACHE_HOME:-~/.cache}/bough/translate-speed
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../options.sh"

work=$caches/translate-speed
rounds=3
types="float32 int8"
take_options "work rounds types" "$@"
make_work

cd "$bough"
experiments/install.sh --venv
if [ ! -x "$work/venv/bin/ct2-marian-converter" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet ctranslate2 pyyaml
fi
cmake -S . -B "$work/build" -G Ninja -DBOUGH_ARCH=portable >/dev/null
cmake --build "$work/build" --target bough-train bough-decode-speed >&2
# shellcheck disable=SC2086  # types are words
OMP_NUM_THREADS=1 exec "$work/venv/bin/python" -B "$here/translate.py" "$work" "$here/result-translate.json" "$(result_head)" \
  "$rounds" $types
