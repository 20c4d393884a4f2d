#!/usr/bin/env bash
# Training speed on the CPU, side by side with PyTorch in one run; writes result-{tiny,d256}.json here.
# Usage: run.sh DATA_FOLDER [--level avx2] [tiny|d256]...   (DATA_FOLDER holds train.en and train.de)
#   --level avx2: AVX-512 is hidden from both, and bough is a portable build; writes result-{tiny,d256}-avx2.json
# PyTorch goes into a virtual environment outside the checkout (several GB on first use). The machine should be
# idle otherwise.
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
[ $# -gt 0 ] || fail "DATA_FOLDER is missing, must be the folder of train.en and train.de; --help says more"
data=$(folder DATA_FOLDER "$1")
shift
level=auto suffix="" build=build
if [ "${1:-}" = --level ]; then
  [ "${2:-}" = avx2 ] || fail "--level is '${2:-}', must be avx2"
  level=avx2 suffix=-avx2
  export ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2
  shift 2
fi
[ $# -gt 0 ] || set -- tiny d256
work=$caches/speed
make_work
python=$caches/venv/bin/python
[ -z "${BOUGH_PEER_PYTHON:-}" ] || python=$(whole "$(command -v "$BOUGH_PEER_PYTHON")")
cd "$bough"
experiments/install.sh
[ -n "${BOUGH_PEER_PYTHON:-}" ] || make_venv "$caches/venv" torch numpy
threads=$(nproc)
if [ $level = auto ]; then
  cmake --preset cpu >/dev/null
else
  build=$work/portable
  cmake -S . -B "$build" -G Ninja -DBOUGH_ARCH=portable >/dev/null
fi
cmake --build "$build" --target bough-train-speed >&2

common=(--train-sets "$data/train.en" "$data/train.de" --tied-embeddings-all --transformer-ffn-activation relu
  --transformer-postprocess dan --max-length 100 --label-smoothing 0.1 --learn-rate 1e-4 --clip-norm 0
  --optimizer-params 0.9 0.98 1e-9 --seed 1 --after 24u --tempdir "$work" --mini-batch-words 4096)
for model in "$@"; do
  case $model in
    tiny) size=(--dim-emb 128 --transformer-dim-ffn 256 --transformer-heads 4 --enc-depth 4 --dec-depth 4
            --transformer-dropout 0.3 --vocabs "$work/10k.spm" "$work/10k.spm" --dim-vocabs 10000 10000) ;;
    d256) size=(--dim-emb 256 --transformer-dim-ffn 1024 --transformer-heads 4 --enc-depth 3 --dec-depth 3
            --transformer-dropout 0.1 --vocabs "$work/8k.spm" "$work/8k.spm" --dim-vocabs 8000 8000) ;;
    *) fail "'$model' is not a model of this script, must be tiny or d256" ;;
  esac
  "$python" experiments/cpu/train_speed.py "$build/bough-train-speed" "$work" "$here/result-$model$suffix.json" "$model" \
    "$threads" --cpu-level $level "${common[@]}" "${size[@]}"
done
