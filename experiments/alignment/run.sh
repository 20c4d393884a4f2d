#!/usr/bin/env bash
# What guided alignment teaches: Multi30k English-German in words, aligned by eflomal (from PyPI, in an environment of its
# own in the work folder), trained twice, without and with guided-alignment. Prints how well the attention of both agrees
# with the aligner on the validation set, and what replace-unk does; writes result.json beside this script.
#
# Usage: run.sh [--data FOLDER] [--work FOLDER] [--programs FOLDER]
#   --data FOLDER      files as experiments/multi30k/README.md lists them; without it they are downloaded
#   --work FOLDER      alignments, models; default: ${XDG_CACHE_HOME:-~/.cache}/bough/alignment
#   --programs FOLDER  bough's programs; without it they are built into build/
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
. "$here/../multi30k/data.sh"

data=""
programs=""
work=$caches/alignment
take_options "data work programs" "$@"
make_work
multi30k_data "$data" "$work"
text=$data/tok

cd "$bough"
experiments/install.sh --python
have_programs

# The validation set is aligned together with the training text.
if [ ! -s "$work/backward" ]; then
  experiments/install.sh --extensions  # eflomal comes as source
  make_venv "$work/venv" eflomal
  for language in en de; do cat "$text/train.$language" "$text/val.$language" >"$work/all.$language"; done
  "$work/venv/bin/python" "$work/venv/bin/eflomal-align" --overwrite -s "$work/all.en" -t "$work/all.de" \
    -f "$work/forward" -r "$work/backward.part"
  mv "$work/backward.part" "$work/backward"
fi
trained=$(wc -l <"$text/train.en")
python3 "$here/links.py" common "$work/forward" "$work/backward" "$trained" >"$work/train.align"

# train NAME [bough-train options]
train() {
  mkdir -p "$work/$1"
  "$programs/bough-train" -c "$here/config.yml" --model "$work/$1/model.npz" --log "$work/$1/train.log" \
    --train-sets "$text/train.en" "$text/train.de" --vocabs "$work/en.yml" "$work/de.yml" "${@:2}"
}

# bleu NAME UNKNOWN: of one of its translations.
bleu() { "$programs/bough-score" "$text/val.de" -i "$work/$1/val.$2" -m bleu -tok none -b -w 2 --force; }

# measure NAME: JSON of one model.
measure() {
  local unknown agreement kept replaced
  "$programs/bough-score" --model "$work/$1/model.npz" -t "$text/val.en" "$text/val.de" -v "$work/en.yml" "$work/de.yml" \
    --alignment hard -o "$work/$1/val.aligned" --mini-batch 64
  for unknown in allow-unk replace-unk; do
    "$programs/bough-translate" -c "$work/$1/model.npz.decoder.yml" -i "$text/val.en" -o "$work/$1/val.$unknown" --quiet \
      --quiet-translation --beam-size 4 --normalize 1 --mini-batch 32 --maxi-batch 100 --maxi-batch-sort src --$unknown
  done
  agreement=$(python3 "$here/links.py" compare "$work/forward" "$work/backward" "$trained" "$work/$1/val.aligned" \
    "$text/val.en" "$text/val.de")
  kept=$(bleu "$1" allow-unk)
  replaced=$(bleu "$1" replace-unk)
  echo "{\"agreement\": $agreement, \"bleu\": $kept, \"bleu_replace_unk\": $replaced}"
}

train plain
train guided --guided-alignment "$work/train.align"
plain=$(measure plain)
guided=$(measure guided)
cat >"$work/result.json" <<JSON
{
$(result_head)
  "validation_set": {
    "plain": $plain,
    "guided": $guided
  }
}
JSON
cp "$work/result.json" "$here/result.json"
cat "$here/result.json"
