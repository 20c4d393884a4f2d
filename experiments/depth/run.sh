#!/usr/bin/env bash
# The depth experiments: runs the cells that have no result yet, prints the estimate first, and makes tables and
# figures (results/). Interrupted, the same command goes on from the checkpoints.
#
# Usage: run.sh [STUDY...] [--data FOLDER] [--work FOLDER] [--jobs N] [--list] [--figures]
#   STUDY          a stability, b thousand, c convergence, d ramp, e robustness, f late, h recipe, i longer, j languages,
#                  l averaged; default: all of these. g full, k wide, when named: on a GPU, with programs built by the preset cuda.
#                  trial = one cell of a few seconds that shows whether everything works here
#   --data FOLDER  Multi30k as ../multi30k/README.md lists it, and for languages the files of checksums.sha256 beside this
#                  script; without it, they are downloaded into the work folder
#   --work FOLDER  checkpoints, logs, translations; default: ${XDG_CACHE_HOME:-~/.cache}/bough/depth
#   --jobs N       cells at a time, one thread each; default: the number of cores
#   --list         show every cell with its result or estimate, and stop
#   --figures      make tables and figures from the results there are, and stop
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
. "$here/../multi30k/data.sh"

data=""
work=$caches/depth
trains=yes
preset=cpu build=build packages="" studies="" needs_languages=""
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --data | --work | --jobs)
      [ $# -ge 2 ] || fail "$1 needs a value; --help says which"
      case $1 in
        --data) data=$(folder "$1" "$2") ;;
        --work) work=$2 ;;
        --jobs) arguments+=("$1" "$2") ;;
      esac
      shift
      ;;
    --list | --figures) trains="" arguments+=("$1") ;;
    languages | j) needs_languages=yes studies=yes arguments+=("$1") ;;
    full | g | wide | k) studies=yes preset=cuda build=build-cuda packages=--tests arguments+=("$1") ;;
    -*) fail "'$1' is not an option of this script; --help lists them" ;;
    *) studies=yes arguments+=("$1") ;;
  esac
  shift
done
make_work

cd "$bough"
if [ -n "$trains" ]; then
  [ -n "$studies" ] || needs_languages=yes  # all of them
  multi30k_data "$data" "$work" ${needs_languages:+"$here/checksums.sha256"}
  experiments/install.sh --python $packages
  cmake --preset $preset >/dev/null
  cmake --build $build --target bough-train bough-translate bough-score >&2
fi
command -v python3 >/dev/null || fail "python3 is needed; install it"
exec python3 -B "$here/study.py" --bin $build --data "$data" --work "$work" "${arguments[@]}"
