#!/usr/bin/env bash
# From the start of bough-translate to its first line, with a model of Base size (6+6 layers, d 512, V 20,000: 218 MB) whose
# file the system has in memory, all cores, one line of five words, beam 4; and the most memory it had. Prints a table and
# writes result-first-line.json beside this script. The machine should be idle.
#
# Usage: first_line.sh [--work FOLDER] [--programs FOLDER]
#   --work FOLDER      the model; default: ${XDG_CACHE_HOME:-~/.cache}/bough/first-line
#   --programs FOLDER  where bough-train and bough-translate are; without it they are built into build/
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"

work=$caches/first-line programs=""
take_options "work programs" "$@"
make_work

cd "$bough"
experiments/install.sh --python
have_programs bough-train bough-translate
head=$(result_head)
python3 -B "$here/first_line.py" "$here/result-first-line.json" "$work" "$head" "$programs"
