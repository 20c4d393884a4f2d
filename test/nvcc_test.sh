#!/usr/bin/env bash
# nvcc takes every file of cuda/ without a warning. The tests run the same sources in an emulator, by g++, which has other
# warnings; where there is no nvcc, this test is skipped. Nothing is optimised: seconds a file.
set -eu
cd "$(dirname "$0")/.."
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
if [ ! -x "$nvcc" ]; then
  echo "nvcc_test: there is no nvcc"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for file in cuda/*.cu cuda/*.cc; do
  case $file in
    cuda/no_*) continue ;;
    cuda/nccl.cc) echo '#include <nccl.h>' | g++ -E -x c++ - >/dev/null 2>&1 || continue ;;
  esac
  # As the preset cuda, but for optimisation and the kernels' last stage.
  "$nvcc" -x cu -std=c++20 -I. -arch=compute_80 --ptx -Xcicc -O0 -Werror=all-warnings -Xcompiler=-Wall,-Wextra \
    -DFMT_USE_CONSTEXPR=1 -DFMT_SHARED '-DBOUGH_CUDA_BUILT_FOR="80"' -o "$work/ptx" "$file" || failed=1
done
exit $failed
