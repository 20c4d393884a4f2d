#!/usr/bin/env bash
# Makes the seeds that programs write: a model of width 2, its checkpoint, and what lies in them. The others are written
# by hand, or were found. Usage: test/fuzz/make_seeds.sh BUILD_FOLDER
set -eu
bin=$(cd "$1" && pwd)
cd "$(dirname "$0")/seeds"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s\n' 'a b' 'b a a' >"$work/text"
printf '%s: %s\n' '</s>' 0 '<unk>' 1 a 2 b 3 >"$work/words.yml"

"$bin/bough-train" --quiet -m "$work/model.npz" -t "$work/text" "$work/text" -v "$work/words.yml" "$work/words.yml" \
  --seed 1 --cpu-threads 1 --dim-emb 2 --transformer-heads 1 --transformer-dim-ffn 2 --enc-depth 1 --dec-depth 1 \
  --tied-embeddings-all --after 2u --overwrite --tempdir "$work"
text_of() { python3 -c 'import sys, zipfile
sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2] + ".npy").split(b"\n", 1)[1].rstrip(b"\0"))' "$@"; }
mkdir -p model optimizer model-yaml state-yaml token-cache settings gzip npz
cp "$work/model.npz" model/tiny.npz
cp "$work/model.npz" npz/tiny.npz
cp "$work/model.npz.optimizer.npz" optimizer/tiny.npz
cp "$work"/*.tokens token-cache/tiny
text_of "$work/model.npz" special:model.yml >model-yaml/tiny
text_of "$work/model.npz.optimizer.npz" special:state.yml >state-yaml/tiny
sed -e "s:$work/::" -e '/^tempdir/d' "$work/model.npz.yml" >settings/all
gzip -nc "$work/text" >gzip/text.gz
