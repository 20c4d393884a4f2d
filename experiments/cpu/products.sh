#!/usr/bin/env bash
# How fast one core multiplies matrices of a Base model's layers, ours beside oneDNN's, with AVX2 and with AVX-512 where
# the machine has it. Prints a table a level and writes result-products.json beside this script. Times are processor
# time, but a busy neighbour takes caches and memory, too: the machine should be idle. Usage: products.sh [ROUNDS]
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
cd "$bough"
experiments/install.sh --python --peers
cmake --preset cpu >/dev/null
cmake --build build --target bough-product-speed >&2
OMP_NUM_THREADS=1 python3 "$here/products.py" build/bough-product-speed "$here/result-products.json" "${1:-9}"
