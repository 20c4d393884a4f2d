#!/usr/bin/env bash
# Trains a small model while it is stopped at random moments, and counts what was lost (README.md). Prints a table and
# writes result.json beside this script. Interrupted, the same command goes on; at another commit it begins anew.
#
# Usage: run.sh [--moments N] [--jobs N] [--work FOLDER]
#   --moments N    how often training is stopped; default: 260
#   --jobs N       runs at a time, one thread each; default: the number of cores
#   --work FOLDER  corpus, checkpoints, what was seen; default: ${XDG_CACHE_HOME:-~/.cache}/bough/reliability
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"

work=$caches/reliability
moments=260 jobs=$(nproc)
take_options "moments jobs work" "$@"
make_work

cd "$bough"
experiments/install.sh --python
cmake --preset cpu >/dev/null
cmake --build build --target bough-train bough-translate bough-example-corpus bough-slow-disk >&2
recipe=$(cat "$here"/*.{py,sh,yml,cc}; commit)
keep_recipe "$work/recipe" "$recipe" "$work"/{corpus,vocab.spm,reference,moments.jsonl} "$work"/run-{?,??,*-copied}
[ -e "$work/corpus" ] || build/bough-example-corpus "$work/corpus" 2000 40 10
# In name spaces of its own: the small disk needs a mount, which goes with the script, however that ends.
own="unshare --mount --map-root-user"
[ "$(id -u)" != 0 ] || own="unshare --mount"
$own true 2>/dev/null || own=""
exec $own python3 -B "$here/moments.py" --bin build --work "$work" --moments "$moments" --jobs "$jobs" \
  --result "$here/result.json"
