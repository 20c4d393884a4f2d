#!/usr/bin/env bash
# The scripts of experiments/interop that need Python alone: models as state dicts and as Hugging Face's folders, and back.
# Usage: interop_test.sh BUILD_FOLDER
set -u
interop=$(cd "$(dirname "$0")/../experiments/interop" && pwd)
. "$(dirname "$0")/checks.sh"
export PYTHONPATH=$interop PYTHONDONTWRITEBYTECODE=1

"$bin/bough-example-corpus" corpus 300 10 20
train() {  # train NAME [bough-train options]
  "$bin/bough-train" --quiet --model "$1.npz" --vocabs vocab.spm vocab.spm --dim-vocabs 200 200 --tempdir . --after 2u \
    --train-sets corpus/train.en corpus/train.de --dim-emb 16 --transformer-heads 2 --transformer-dim-ffn 24 \
    --enc-depth 2 --dec-depth 1 --mini-batch-words 200 --cpu-threads 1 --seed 1 "${@:2}"
}
train branchnorm --transformer-residual branchnorm --tied-embeddings-all --transformer-ffn-activation relu
train pre-ln --transformer-residual pre-ln --tied-embeddings --transformer-decoder-dim-ffn 40
train dlcl --transformer-residual dlcl --output-omit-bias
train admin --transformer-residual admin --tied-embeddings-src --transformer-train-position-embeddings

for name in branchnorm pre-ln dlcl admin; do
  python3 "$interop/state_dict.py" to $name.npz $name.safetensors
  python3 "$interop/state_dict.py" from $name.safetensors back.npz
  check "$name comes back from a state dict with the same bytes" same $name.npz back.npz
done
python3 - <<'PY'
import struct
import npz, state_dict
arrays, (state, metadata) = npz.read("branchnorm.npz"), state_dict.read_safetensors("branchnorm.safetensors")
assert metadata["format"] == "pt" and metadata[npz.SETTINGS] == arrays[npz.SETTINGS]
kind, shape, data = arrays["decoder_l1_context_Wk"]
turned = state["model.decoder.layers.0.encoder_attn.k_proj.weight"]
rows, columns = shape
at = lambda bytes, i: bytes[4 * i:4 * i + 4]
assert all(at(turned[2], j * rows + i) == at(data, i * columns + j) for i in range(rows) for j in range(columns))
assert state["model.encoder.layers.1.fc1.weight"][1] == (24, 16) and state["model.encoder.layers.1.fc1.bias"][1] == (24,)
assert state["model.encoder.layers.0.self_attn_layer_norm.weight"][1] == (16,)
# What other programs write: half precisions, read as f32.
numbers = [1.0, -0.15625, 6.103515625e-05, 65504.0]
assert struct.unpack("<4f", state_dict.as_f32("F16", struct.pack("<4e", *numbers))) == tuple(numbers)
exact = [1.0, -0.15625, 2.0 ** 127]
upper = b"".join(struct.pack("<f", x)[2:] for x in exact)
assert struct.unpack("<3f", state_dict.as_f32("BF16", upper)) == tuple(exact)
PY
check "names, shapes and numbers of a state dict" test $? = 0

# A folder of Hugging Face's holds a plain Post-LN model; the way back has the same parameters and translates the same.
"$bin/bough-average" --export plain.npz branchnorm.npz >/dev/null 2>&1
python3 "$interop/hugging_face.py" to branchnorm.npz vocab.spm folder 2>message
check "a model with scales is refused" says "transformer-postprocess is 'dsan', must be 'dan'" message
python3 "$interop/hugging_face.py" to plain.npz vocab.spm folder
check "a folder is written" test $? = 0
python3 "$interop/hugging_face.py" from folder returned.npz vocab.yml
check "... and read" test $? = 0
translate() {
  "$bin/bough-translate" -m "$1" -v "$2" "$2" --quiet --quiet-translation --cpu-threads 1 -b 2 --max-length-factor 1 "${@:3}"
}
translate plain.npz vocab.spm --no-spm-decode -i corpus/test.en >own.txt
translate plain.npz vocab.yml --no-spm-encode <own.txt >own.pieces
translate returned.npz vocab.yml --no-spm-encode <own.txt >returned.pieces
check "a returned model translates as before" same own.pieces returned.pieces

# In half precision, as the model of experiments/multi30k is.
"$bin/bough-average" --export --float16 half.npz branchnorm.npz >/dev/null 2>&1
python3 "$interop/state_dict.py" to half.npz half.safetensors
python3 "$interop/state_dict.py" from half.safetensors back.npz
check "half precision comes back from a state dict with the same bytes" same half.npz back.npz
python3 "$interop/hugging_face.py" to half.npz vocab.spm half
python3 "$interop/hugging_face.py" from half half-back.npz vocab.yml
translate half.npz vocab.yml --no-spm-encode <own.txt >half.pieces
translate half-back.npz vocab.yml --no-spm-encode <own.txt >half-back.pieces
check "... and from a folder, translating as before" same half.pieces half-back.pieces
python3 - <<'PY'
import json, math, struct
import npz, positions, state_dict
plain, returned = npz.read("plain.npz"), npz.read("returned.npz")
wanted, found = (npz.settings(arrays.pop(npz.SETTINGS)) for arrays in (plain, returned))
assert plain == returned
for key in "dim-emb", "enc-depth", "dec-depth", "transformer-heads", "transformer-ffn-activation", "tied-embeddings-all":
    assert wanted[key] == found[key], key
config, state = json.load(open("folder/config.json")), state_dict.read_safetensors("folder/model.safetensors")[0]
entries = plain["Wemb"][1][0]
assert config["pad_token_id"] == config["decoder_start_token_id"] == entries == config["vocab_size"] - 1
assert state["model.shared.weight"][2][-64:] == bytes(64)  # the start of a translation is zero
assert struct.unpack("<f", state["final_logits_bias"][2][-4:])[0] < -1000
table = struct.unpack(f"<{512 * 16}f", state["model.encoder.embed_positions.weight"][2])
for p, j in ((0, 3), (0, 12), (7, 0), (7, 7), (100, 5), (100, 13)):
    rate = 10000 ** (-(j % 8) / 7)
    assert abs(table[p * 16 + j] - (math.sin if j < 8 else math.cos)(p * rate)) < 1e-6, (p, j)
PY
check "a folder has Marian's start, padding and positions; parameters return" test $? = 0

python3 "$interop/positions.py" plain.npz positions.npz
python3 "$interop/positions.py" positions.npz again.npz 2>message
check "positions are added once" says "'positions.npz' has learned positions" message
for pair in "state_dict.py:from plain.npz x" "state_dict.py:to vocab.spm x" "pieces.py:plain.npz" \
  "hugging_face.py:to admin.npz vocab.spm x" "hugging_face.py:from corpus x"; do
  # shellcheck disable=SC2086  # arguments are words
  python3 "$interop/${pair%%:*}" ${pair#*:} >/dev/null 2>message
  check "${pair%% *} of another file is one sentence" test "$? $(wc -l <message)" = "1 1"
done
head -c 3000 branchnorm.safetensors >cut.safetensors
python3 "$interop/state_dict.py" from cut.safetensors x.npz 2>message
check "a cut state dict is one sentence" test "$? $(wc -l <message)" = "1 1"
report
