# shellcheck shell=bash disable=SC2034,SC2154  # variables of those who source it
# Sourced by the scripts in the folders here, which have set $here. Sets $bough, the project's folder, $caches, where work
# goes that nobody names a folder for, and $command, the script as its result names it.
bough=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
caches=${XDG_CACHE_HOME:-$HOME/.cache}/bough
command=${here#"$bough"/}/${0##*/}

fail() {
  echo "${0##*/}: $1" >&2
  exit 1
}

# take_options "NAME ..." "$@": sets the variable NAME to the VALUE of each --NAME VALUE, and adds them to $command:
# folders are nobody else's business.
take_options() {
  local names=" $1 " name
  shift
  while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "$1 needs a value; see the first lines of this script"
    name=${1#--}
    case "$names" in
      *" $name "*) [ "$1" = "--$name" ] || fail "'$1' is not an option of this script" ;;
      *) fail "'$1' is not an option of this script" ;;
    esac
    printf -v "$name" %s "$2"
    case $name in
      data | work | programs) command="$command $1 FOLDER" ;;
      *) command="$command $1 '$2'" ;;
    esac
    shift 2
  done
}

# Members of a result, JSON: what made it, when, where; a comma behind each.
result_head() {
  cat <<JSON
  "command": "$command",
  "commit": "$(git -C "$bough" rev-parse --short HEAD 2>/dev/null || echo unknown)",
  "date": "$(date -u +%Y-%m-%d)",
  "processor": "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(nproc) cores",
JSON
}

# Makes the folder $work, and its name whole.
make_work() {
  mkdir -p "$work"
  work=$(cd "$work" && pwd)
}

# average_last FOLDER NUMBER: the mean of its last NUMBER checkpoints becomes average.npz; averaged has their updates, a
# line each. Uses $programs.
average_last() {
  # By update number, so that iter10000 comes after iter9500.
  find "$1" -name 'model.iter*.npz' | sed 's/^.*model\.iter\([0-9]*\)\.npz$/\1/' | grep -x '[0-9]*' | sort -n |
    tail -n "$2" >"$1/averaged"
  sed "s|.*|$1/model.iter&.npz|" "$1/averaged" | tr '\n' '\0' | xargs -0 "$programs/bough-average" "$1/average.npz"
}

# have_programs [TARGET...]: builds them, or all, into build/ unless $programs names a folder, in $bough; makes its name
# whole.
have_programs() {
  if [ -z "$programs" ]; then
    experiments/install.sh
    cmake --preset cpu >/dev/null
    cmake --build build ${1:+--target "$@"} >&2
    programs=build
  fi
  programs=$(cd "$programs" && pwd)
}
