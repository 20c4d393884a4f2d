#!/usr/bin/env bash
# All that needs a GPU, in one go: correctness, determinism, and speed beside PyTorch. Writes JSON and a log, and
# prints a short table last. From the archive that bundle.sh makes, or in a checkout built with the preset cuda.
#   gpu_check.sh                          the default run, below 9 minutes
#   gpu_check.sh PART [CELL...]           one part: ops memcheck racecheck losses determinism kernels train decode
#                                         devices (several GPUs, needs NCCL)
#   gpu_check.sh train 100+100 --tokens 4224 --peer packed
#   gpu_check.sh --emulated               every part at toy size, without a GPU
#   gpu_check.sh --help                   all options; experiments/gpu/README.md says how to read the table
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
if ! command -v python3 >/dev/null; then
  echo "gpu_check: python3 is not installed, must be 3.8 or later; install it (PyTorch is needed for peers only)" >&2
  exit 1
fi
exec python3 "$here/gpu/check.py" "$@"
