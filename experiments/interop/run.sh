#!/usr/bin/env bash
# Takes BranchNorm models to CTranslate2, Hugging Face Transformers and PyTorch, and back, and counts the translations that
# stay the same (README.md). Models of Multi30k, or the one that --model names. Everything runs on one core; minutes.
# Writes result.json beside this script. Interrupted, the same command goes on; at another commit it begins anew.
#
# Usage: run.sh [--data FOLDER] [--work FOLDER] [--programs FOLDER] [--models NAMES] [--model FILE --vocab FILE]
#   --data FOLDER      files as experiments/multi30k/README.md lists them; without it they are downloaded
#   --work FOLDER      models, the environment of Python; default: ${XDG_CACHE_HOME:-~/.cache}/bough/interop (several GB)
#   --programs FOLDER  bough's programs; without it they are built into build/
#   --models NAMES     small: 2+2 layers of width 128, 1,000 sentences, the default; wide: 1+1 of width 512, 100 sentences
#   --model FILE       a model with tied-embeddings-all and relu, not written to result.json; --vocab: its .spm
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
. "$here/../multi30k/data.sh"

data="" programs="" model="" vocab="" models=small
work=$caches/interop
take_options "data work programs models model vocab" "$@"
for name in model vocab; do
  [ -z "${!name}" ] || [ -f "${!name}" ] || fail "--$name is '${!name}', which is not a file"
  [ -z "${!name}" ] || printf -v "$name" %s "$(whole "${!name}")"
done
[ -z "$model" ] || [ -n "$vocab" ] || fail "--model needs --vocab, the .spm that it was trained with"
make_work
multi30k_data "$data" "$work"

cd "$bough"
experiments/install.sh --python
have_programs
make_venv "$work/venv" ctranslate2 pyyaml torch transformers safetensors sentencepiece numpy
export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1

# train NAME [bough-train options]
train() {
  mkdir -p "$work/$1"
  "$programs/bough-train" -c "$here/config.yml" --model "$work/$1/model.npz" --log "$work/$1/train.log" --quiet \
    --train-sets "$data/train.en" "$data/train.de" --valid-sets "$data/val.en" "$data/val.de" --cpu-threads 1 \
    --vocabs "$vocab" "$vocab" "${@:2}"
}

# convert NAME MODEL: all that others read, and the ways back; fails if a bit of a parameter is not the same.
convert() {
  local folder=$work/$1
  mkdir -p "$folder"
  "$programs/bough-average" --export "$folder/plain.npz" "$2"
  python3 "$here/positions.py" "$folder/plain.npz" "$folder/positions.npz"
  python3 "$here/pieces.py" "$vocab" >"$folder/vocab.yml"
  local pair
  for pair in plain:ct2 positions:ct2-positions; do
    "$work/venv/bin/ct2-marian-converter" --force --model_path "$folder/${pair%:*}.npz" \
      --vocab_paths "$folder/vocab.yml" "$folder/vocab.yml" --output_dir "$folder/${pair#*:}" >&2
  done
  python3 "$here/hugging_face.py" to "$folder/plain.npz" "$vocab" "$folder/hf"
  python3 "$here/hugging_face.py" to "$folder/plain.npz" "$vocab" "$folder/hf-as-theirs" as-theirs
  python3 "$here/state_dict.py" to "$folder/plain.npz" "$folder/state.safetensors"
  python3 "$here/state_dict.py" from "$folder/state.safetensors" "$folder/back.npz"
  cmp "$folder/plain.npz" "$folder/back.npz" || fail "a state dict does not come back as it went"
}

# measure NAME SENTENCES: NAME/result.json of one model, on the first sentences of the test set, and when that was.
measure() {
  local folder=$work/$1 test=$work/$1/test language head
  head=$(result_head)
  for language in en de; do head -n "$2" "$data/test_2016_flickr.$language" >"$test.$language"; done
  "$work/venv/bin/python" "$here/compare.py" "$programs" "$folder/plain.npz" "$vocab" "$test.en" "$test.de" "$folder" \
    >"$folder/compared.json"
  python3 "$here/hugging_face.py" from "$folder/hf-saved" "$folder/returned.npz"
  "$work/venv/bin/python" "$here/torch_model.py" "$folder/state.safetensors" "$vocab" "$test.en" "$test.de" \
    >"$folder/torch.scores"
  "$programs/bough-score" --model "$folder/plain.npz" -t "$test.en" "$test.de" -v "$vocab" "$vocab" --cpu-threads 1 \
    --quiet >"$folder/bough.scores"
  python3 "$here/report.py" model "$folder" "$head" >"$folder/result.json.part"
  mv "$folder/result.json.part" "$folder/result.json"
}

if [ -n "$model" ]; then
  convert given "$model"
  measure given 1000
  cat "$work/given/result.json"
  exit
fi
vocab=$work/vocab.spm
recipe=$(cat "$here"/*.{py,sh,yml}; commit)
keep_recipe "$work/recipe" "$recipe" "$vocab" "$work/small" "$work/wide"
found=""
for name in $models; do
  case $name in
    small) sentences=1000 size="" ;;
    wide)
      sentences=100  # it takes longer
      size="--dim-emb 512 --transformer-heads 8 --transformer-dim-ffn 512 --enc-depth 1 --dec-depth 1 --after 500u
        --learn-rate 0.001"
      ;;
    *) fail "'$name' is not a model of this script, must be small or wide" ;;
  esac
  # shellcheck disable=SC2086  # options are words
  [ -s "$work/$name/result.json" ] || {
    train "$name" $size
    convert "$name" "$work/$name/model.npz"
    measure "$name" "$sentences"
  }
  found="$found${found:+,
}    \"$name\": $(cat "$work/$name/result.json")"
done
cat >"$work/result.json" <<JSON
{
  "test_2016_flickr": {
$found
  }
}
JSON
python3 "$here/report.py" table "$work/result.json"
cp "$work/result.json" "$here/result.json"
