#!/usr/bin/env bash
# Products for 64-bit ARM (NEON; with the instructions of dot products, too): compiled here, run in an emulator, compared
# bit for bit with loops over single elements. Half a minute. Usage: test/arm/run.sh
set -eu
cd "$(dirname "$0")/../.."
experiments/install.sh --arm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for machine in armv8-a armv8.2-a+dotprod; do
  aarch64-linux-gnu-g++ -std=c++20 -O3 -Wall -Wextra -Werror -ffp-contract=off -static "-march=$machine" -DBOUGH_LEVEL=generic -I. \
    core/cpu/panel_kernels.cc core/cpu/int8_kernels.cc test/arm/products.cc -o "$work/products"
  echo "arm: $machine: $(qemu-aarch64-static -cpu max "$work/products")"
done
