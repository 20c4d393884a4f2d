#!/usr/bin/env bash
# bough-score and sacreBLEU side by side in one run: time and memory of three tasks, with the same
# results. Writes experiments/scoring/result.json. Usage: benchmark.sh [path of bough-score]
set -eu
cd "$(dirname "$0")/../.."
program=${1:-build/bough-score}
experiments/install.sh --venv
if [ ! -x "$program" ]; then
  cmake --preset cpu >/dev/null
  cmake --build build --target bough-score
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet sacrebleu==2.6.0
"$folder/venv/bin/python" experiments/scoring/benchmark.py "$program" "$folder" experiments/scoring/result.json
