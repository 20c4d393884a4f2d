#!/usr/bin/env bash
# bough-score and sacreBLEU side by side in one run: time and memory of three tasks, with the same
# results. Writes experiments/scoring/result.json. Usage: benchmark.sh [path of bough-score]
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
program="" programs=""
if [ $# -gt 0 ]; then
  [[ -f $1 && -x $1 ]] || fail "'$1' is not a program, must be the path of bough-score; without it, it is built"
  program=$(whole "$1")
fi
cd "$bough"
if [ -z "$program" ]; then
  have_programs bough-score
  program=$programs/bough-score
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
make_venv "$folder/venv" sacrebleu==2.6.0
"$folder/venv/bin/python" experiments/scoring/benchmark.py "$program" "$folder" experiments/scoring/result.json
