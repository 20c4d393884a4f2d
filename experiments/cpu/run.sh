#!/usr/bin/env bash
# Training speed on the CPU, side by side with PyTorch in one run; writes result-{tiny,d256}.json here.
# Usage: run.sh DATA_FOLDER [tiny|d256]...   (DATA_FOLDER holds train.en and train.de)
# PyTorch goes into a virtual environment outside the checkout (several GB on first use). The machine should be
# idle otherwise.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- tiny d256
cache="${XDG_CACHE_HOME:-$HOME/.cache}/bough"
python=${BOUGH_PEER_PYTHON:-$cache/venv/bin/python}
cd "$here/../.."
experiments/install.sh --venv
if [ ! -x "$python" ]; then
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install -q torch numpy
fi
cmake --preset cpu >/dev/null
cmake --build build --target bough-train-speed >&2
threads=$(nproc)
work=$cache/speed
mkdir -p "$work"

common="--train-sets $data/train.en $data/train.de --tied-embeddings-all --transformer-ffn-activation relu
  --transformer-postprocess dan --max-length 100 --label-smoothing 0.1 --learn-rate 1e-4 --clip-norm 0
  --optimizer-params 0.9 0.98 1e-9 --seed 1 --after 24u --tempdir $work"
for model in "$@"; do
  case $model in
    tiny) size="--dim-emb 128 --transformer-dim-ffn 256 --transformer-heads 4 --enc-depth 4 --dec-depth 4
            --transformer-dropout 0.3 --vocabs $work/10k.spm $work/10k.spm --dim-vocabs 10000 10000
            --mini-batch-words 4096" ;;
    d256) size="--dim-emb 256 --transformer-dim-ffn 1024 --transformer-heads 4 --enc-depth 3 --dec-depth 3
            --transformer-dropout 0.1 --vocabs $work/8k.spm $work/8k.spm --dim-vocabs 8000 8000
            --mini-batch-words 4096" ;;
    *) echo "run.sh: '$model' is not a model of this script, must be tiny or d256" >&2; exit 1 ;;
  esac
  # shellcheck disable=SC2086  # options are words
  "$python" experiments/cpu/train_speed.py build/bough-train-speed "$work" "$here/result-$model.json" "$model" \
    "$threads" $common $size
done
