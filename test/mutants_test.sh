#!/usr/bin/env bash
# The mistakes that mutation.sh and cuda_mutation.sh plant can still be planted: the right text of each is in the code.
set -u
cd "$(dirname "$0")"
./mutation.sh --check
cpu=$?
./cuda_mutation.sh --check && exit $cpu
