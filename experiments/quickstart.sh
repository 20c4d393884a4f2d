#!/usr/bin/env bash
# Builds bough, trains a small English-German model on a generated corpus (numbers, dates, times,
# prices; minutes on a CPU), translates sentences that it has not seen and scores the translations.
# Everything it makes is under build/; run again, it reuses the trained model.
# Usage: experiments/quickstart.sh [bough-train options, for example --cpu-threads 4]
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/options.sh"
cd "$bough"
config=experiments/quickstart/config.yml
work=build/quickstart

experiments/install.sh
cmake --preset cpu >/dev/null
cmake --build build >&2

# A model is reused as long as its recipe, corpus and options are the same; an interrupted training
# goes on.
mkdir -p "$work"
build/bough-example-corpus "$work/new" 40000 500 1000
for option in "$@"; do
  case ${option%%=*} in
    -h | --help | --version | --build-info | --dump-config | --describe)  # asks, and trains nothing
      [ -e "$work/train.en" ] || mv "$work"/new/* "$work"
      rm -rf "$work/new"
      exec build/bough-train -c "$config" "$@"
      ;;
  esac
done
{ cat "$config" "$work"/new/*; echo "options: $*"; } | sha256sum >"$work/new.recipe"
if ! cmp -s "$work/new.recipe" "$work/recipe"; then
  build/bough-train -c "$config" "$@" --dump-config minimal >/dev/null  # with wrong options nothing is removed
  rm -rf "$work"/trained "$work"/model.* "$work"/vocab.* "$work/train.log"
  mv "$work"/new/* "$work"
  mv "$work/new.recipe" "$work/recipe"
fi
rm -rf "$work/new" "$work/new.recipe"
if [ ! -e "$work/trained" ]; then
  build/bough-train -c "$config" "$@"
  [ -e "$work/model.npz.decoder.yml" ] || fail "training has left no $work/model.npz; leave out options that name files"
  touch "$work/trained"
fi

build/bough-translate -c "$work/model.npz.decoder.yml" --quiet <"$work/test.en" >"$work/translation.de"
bleu=$(build/bough-score "$work/test.de" -i "$work/translation.de" -m bleu -b -w 2)

echo
echo "Five of the 1000 held-out sentences, none of which was in training:"
paste -d '\n' "$work/test.en" "$work/translation.de" | head -n 10 | sed -e '1~2s/^/  /' -e '2~2s/^/    -> /'
echo "BLEU = $bleu"
echo "Your own sentence (numbers, dates, times, prices):"
echo "  cd ${PWD@Q} && echo 'On Friday, the lamp cost forty-two euros.' | build/bough-translate -c $work/model.npz.decoder.yml"
