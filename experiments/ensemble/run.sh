#!/usr/bin/env bash
# Is an ensemble of two seeds better than each of them? Two small models of Multi30k that differ in their seed alone
# (experiments/interop/config.yml), one core, minutes. Translates both test sets with each and with both, and tests the
# difference with paired bootstraps; writes result.json beside this script.
#
# Usage: run.sh [--data FOLDER] [--work FOLDER] [--programs FOLDER]
#   --data FOLDER      files as experiments/multi30k/README.md lists them; without it they are downloaded
#   --work FOLDER      models, translations; default: ${XDG_CACHE_HOME:-~/.cache}/bough/ensemble
#   --programs FOLDER  bough's programs; without it they are built into build/
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
. "$here/../multi30k/data.sh"

data="" programs=""
work=$caches/ensemble
take_options "data work programs" "$@"
make_work
multi30k_data "$data" "$work"

cd "$bough"
experiments/install.sh
have_programs

for seed in 1 2; do
  mkdir -p "$work/seed$seed"
  "$programs/bough-train" -c "$bough/experiments/interop/config.yml" --seed $seed --model "$work/seed$seed/model.npz" \
    --log "$work/seed$seed/train.log" --quiet --train-sets "$data/train.en" "$data/train.de" \
    --valid-sets "$data/val.en" "$data/val.de" --cpu-threads 1 --vocabs "$work/vocab.spm" "$work/vocab.spm"
done

# translate NAME TEST MODEL...
translate() {
  "$programs/bough-translate" -c "$work/seed1/model.npz.decoder.yml" -m "${@:3}" -i "$data/$2.en" -o "$work/$2.$1" \
    --quiet --quiet-translation --cpu-threads 1 --mini-batch 64
}

# measure TEST: JSON: the ensemble against either seed; systems are named by their files in the work folder.
measure() {
  local seed scores sentences models=("$work/seed1/model.npz" "$work/seed2/model.npz")
  translate ensemble "$1" "${models[@]}"
  echo "{"
  for seed in 1 2; do
    translate "seed$seed" "$1" "${models[seed - 1]}"
    scores=$(cd "$work" && "$programs/bough-score" "$data/$1.de" -i "$1.seed$seed" "$1.ensemble" -pbs)
    echo "\"against_seed$seed\": $scores,"
  done
  sentences=$(wc -l <"$data/$1.en")
  echo "\"sentences\": $sentences}"
}

first=$(measure test_2016_flickr)
second=$(measure test_2017_flickr)
updates=$(sed -n 's/^after: \([0-9]*\)u$/\1/p' "$bough/experiments/interop/config.yml")
cat >"$work/result.json" <<JSON
{
$(result_head)
  "updates": $updates,
  "test_2016_flickr": $first,
  "test_2017_flickr": $second
}
JSON
cp "$work/result.json" "$here/result.json"
cat "$here/result.json"
