# shellcheck shell=bash
# Sourced by tests of bough-train with the build folder as $1: checks.sh, a corpus in corpus/, config.yml of a tiny model,
# and the functions below.
. "$(dirname "${BASH_SOURCE[0]}")/checks.sh"

"$bin/bough-example-corpus" corpus 600 60 60
cat >config.yml <<'YML'
type: transformer
train-sets: [corpus/train.en, corpus/train.de]
vocabs: [vocab.spm, vocab.spm]
dim-vocabs: [300, 300]
tempdir: .
dim-emb: 32
enc-depth: 2
dec-depth: 2
transformer-heads: 4
transformer-dim-ffn: 64
tied-embeddings-all: true
transformer-residual: branchnorm
branchnorm-max-step: 40
transformer-dropout: 0.1
transformer-dropout-attention: 0.1
transformer-dropout-ffn: 0.1
label-smoothing: 0.1
learn-rate: 0.003
lr-warmup: 20
optimizer-params: [0.9, 0.98, 1e-9]
exponential-smoothing: 1e-4
mini-batch-words: 400
optimizer-delay: 2
max-length: 100
cpu-threads: 2
seed: 3
quiet: true
disp-freq: 10
overwrite: true
YML
train() {  # train FOLDER OPTIONS...
  local folder=$1
  shift
  mkdir -p "$folder"
  "$bin/bough-train" -c config.yml --model "$folder/model.npz" "$@"
}
start() {  # the same in the background, as process $!, which reads $input
  local folder=$1
  shift
  mkdir -p "$folder"
  "$bin/bough-train" -c config.yml --model "$folder/model.npz" "$@" <"${input:-/dev/null}" &
}
await() {  # await CONDITION...: until it holds, two minutes at most
  for _ in $(seq 2400); do
    "$@" && return 0
    sleep 0.05
  done
  echo "never happened: $*"
  return 1
}
logs() { [ -e "$2" ] && says "$1" "$2"; }
close() {  # close LIMIT FOLDER FOLDER: parameters, moments and average differ by rounding alone
  python3 - "$@" <<'PY'
import array, sys, zipfile
limit, *folders = sys.argv[1:]
def values(folder, name):
    data = zipfile.ZipFile(folder + "/model.npz.optimizer.npz").read(name + ".npy")
    return array.array("f", data[10 + int.from_bytes(data[8:10], "little"):])
for name in "master_parameters", "adam_mt", "adam_vt", "exp_smoothing":
    a, b = (values(folder, name) for folder in folders)
    distance = sum((x - y) ** 2 for x, y in zip(a, b)) ** 0.5 / sum(x * x for x in a) ** 0.5
    print(name, "relative distance", distance, file=sys.stderr)
    if len(a) != len(b) or not 0 < distance < float(limit):
        sys.exit(1)
PY
}
parameters() { unzip_array "$1/model.npz.optimizer.npz"; }
unzip_array() {  # the arrays of a checkpoint, without the state text
  python3 - "$1" <<'PY'
import hashlib, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
digest = hashlib.sha256()
for name in sorted(archive.namelist()):
    if not name.startswith("special"):
        digest.update(name.encode() + archive.read(name))
print(digest.hexdigest())
PY
}
