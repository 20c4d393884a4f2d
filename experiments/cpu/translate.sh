#!/usr/bin/env bash
# Translating with a Transformer of Base size (6+6 layers, d 512, V 20,000, random weights), one thread, beside CTranslate2
# in one run, processor seconds; the end of sentence is impossible in both, so both do the same work. First with AVX-512
# hidden from both, then, where the machine has it, with it. Prints a table and writes result-translate.json beside this
# script. CTranslate2 goes into a virtual environment outside the checkout. Usage: translate.sh [ROUNDS]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/bough"
cd "$here/../.."
experiments/install.sh --venv
if [ ! -x "$cache/ctranslate2/bin/ct2-marian-converter" ]; then
  python3 -m venv "$cache/ctranslate2"
  "$cache/ctranslate2/bin/pip" install -q ctranslate2 pyyaml
fi
work=$cache/translate-speed
mkdir -p "$work"
for build in avx2:x86-64-v3 native:native; do
  cmake -S . -B "$work/${build%:*}" -G Ninja -DBOUGH_ARCH="${build#*:}" >/dev/null
  cmake --build "$work/${build%:*}" --target bough-train bough-decode-speed >&2
done
OMP_NUM_THREADS=1 "$cache/ctranslate2/bin/python" "$here/translate.py" "$work" "$here/result-translate.json" "${1:-3}"
