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
# Marian's binary form of the same arrays, one of them in int8; and a binary shortlist for four words.
python3 - "$work/model.npz" <<'PY'
import os, struct, sys, zipfile
arrays = []
archive = zipfile.ZipFile(sys.argv[1])
for name in archive.namelist():
    raw = archive.read(name)
    header, data = raw[10:10 + raw[8] + 256 * raw[9]], raw[10 + raw[8] + 256 * raw[9]:]
    shape = eval(header.decode().split("'shape': ")[1].split(")")[0] + ")")
    arrays.append([name[:-4], 0x101 if name.startswith("special") else 0x404, shape, data])
arrays[0] = [arrays[0][0], 0x4101, arrays[0][2], bytes(range(len(arrays[0][3]) // 4)) + struct.pack("<f", 8)]
words = [1, len(arrays)]
for name, kind, shape, data in arrays:
    words += [len(name) + 1, kind, len(shape), len(data)]
out = struct.pack(f"<{len(words)}Q", *words) + b"".join(a[0].encode() + b"\0" for a in arrays)
out += b"".join(struct.pack(f"<{len(a[2])}i", *a[2]) for a in arrays) + struct.pack("<Q", 3) + b"\0" * 3
os.makedirs("marian-binary", exist_ok=True)
open("marian-binary/tiny.bin", "wb").write(out + b"".join(a[3] for a in arrays))
os.makedirs("shortlist", exist_ok=True)
open("shortlist/tiny.bin", "wb").write(struct.pack("<11Q4I", 0xF11A48D5013417F5, 0, 1, 1, 5, 4, 0, 1, 2, 3, 4, 3, 2, 1, 0))
open("shortlist/tiny.s2t", "w").write("a b 0.5\nb a 0.25\nNULL a 0.1\n")
PY
mkdir -p model optimizer model-yaml state-yaml token-cache settings gzip npz
cp "$work/model.npz" model/tiny.npz
cp "$work/model.npz" npz/tiny.npz
cp "$work/model.npz.optimizer.npz" optimizer/tiny.npz
cp "$work"/*.tokens token-cache/tiny
text_of "$work/model.npz" special:model.yml >model-yaml/tiny
text_of "$work/model.npz.optimizer.npz" special:state.yml >state-yaml/tiny
sed -e "s:$work/::" -e '/^tempdir/d' "$work/model.npz.yml" >settings/all
gzip -nc "$work/text" >gzip/text.gz
