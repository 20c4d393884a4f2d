#!/usr/bin/env bash
# Trains and scores English-German on Multi30k: in the lower-cased, tokenised form of the published
# systems (tok) and in the raw, cased form (cased). Writes result-tok.json and result-cased.json
# beside this script. Interrupted, the same command goes on from the last checkpoint.
#
# Usage: run.sh [--data FOLDER] [--work FOLDER] [--only tok|cased] [-- bough-train options]
#   --data FOLDER  files as README.md lists them; without it they are downloaded into the work folder
#   --work FOLDER  checkpoints, logs, translations; default: ${XDG_CACHE_HOME:-~/.cache}/bough/multi30k
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")

. "$here/../options.sh"
. "$here/data.sh"

data=""
work=$caches/multi30k
only=""
take_options "data work only --" "$@"
case $only in "" | tok | cased) ;; *) fail "--only is '$only', must be tok or cased" ;; esac
make_work
multi30k_data "$data" "$work"

cd "$bough"
programs=""
have_programs

# train FORM TEXT: TEXT is the folder of the files in that form.
train() {
  run=$work/$1
  text=$2
  mkdir -p "$run"
  "$programs/bough-train" -c "$here/config.yml" --model "$run/model.npz" --log "$run/train.log" \
    --train-sets "$text/train.en" "$text/train.de" --valid-sets "$text/val.en" "$text/val.de" \
    --vocabs "$run/vocab.spm" "$run/vocab.spm" "${others[@]}"
  average_last "$run" 10
  "$programs/bough-average" "$run/plain.npz" "$run/average.npz" --export --float16
}

# score FORM TEXT TOKENIZER: translates both test sets with the averaged model and writes the result.
score() {
  run=$work/$1
  scores=""
  for test in test_2016_flickr test_2017_flickr; do
    "$programs/bough-translate" -c "$run/model.npz.decoder.yml" -m "$run/average.npz" --quiet \
      <"$2/$test.en" >"$run/$test.de"
    json=$("$programs/bough-score" "$2/$test.de" -i "$run/$test.de" -m bleu -tok "$3" -w 2 -f json)
    scores="$scores${scores:+,
}    \"$test\": $json"
    bleu=$("$programs/bough-score" "$2/$test.de" -i "$run/$test.de" -m bleu -tok "$3" -b -w 2)
    echo "$1 $test: BLEU = $bleu"
  done
  updates=$(paste -s -d, "$run/averaged" | sed 's/,/, /g')
  cat >"$run/result.json" <<JSON
{
$(result_head)
  "averaged_updates": [$updates],
  "scores": {
$scores
  }
}
JSON
  cp "$run/result.json" "$here/result-$1.json"
}

for form in ${only:-tok cased}; do
  case $form in
    tok) text=$data/tok tokenizer=none ;;
    cased) text=$data tokenizer=13a ;;
  esac
  train "$form" "$text"
  score "$form" "$text" "$tokenizer"
done
