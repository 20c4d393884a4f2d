# shellcheck shell=bash disable=SC2034,SC2154  # variables of those who source it
# Sourced by the scripts here, which have set $here. Sets $bough, the project's folder, $caches, where work goes that
# nobody names a folder for, and $command, the script as its result names it. With --help a script ends here, behind its
# first lines.
shopt -s inherit_errexit  # x=$(...) fails with what is in it; a $(...) in a word or in a here-document never does
bough=$(readlink -f -- "${BASH_SOURCE[0]%/*}/..")
caches=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/bough
command=$(readlink -f -- "$0")
command=${command#"$bough"/}

case ${1:-} in
  -h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac

fail() {
  echo "${0##*/}: $1" >&2
  exit 1
}

# whole PATH: its name from any folder.
whole() {
  case $1 in
    /*) echo "$1" ;;
    *) echo "$PWD/$1" ;;
  esac
}

# folder OPTION PATH: the whole name of a folder, which must be there.
folder() {
  [ -d "$2" ] || fail "$1 is '$2', which is not a folder"
  whole "$2"
}

# take_options "NAME ..." "$@": sets the variable NAME to the VALUE of each --NAME VALUE, and adds them to $command:
# folders are nobody else's business. With -- among the names, what stands behind it becomes the array others.
take_options() {
  local names=" $1 " name value
  shift
  others=()
  while [ $# -gt 0 ]; do
    if [ "$1" = -- ] && [[ $names == *" -- "* ]]; then
      others=("${@:2}")
      command="$command -- ${others[*]}"
      return
    fi
    name=${1#--}
    [[ $1 == "--$name" && $names == *" $name "* ]] || fail "'$1' is not an option of this script; --help lists them"
    [ $# -ge 2 ] || fail "$1 needs a value; --help says which"
    value=$2
    case $name in data | programs) value=$(folder "$1" "$2") ;; esac
    case $name in
      data | work | programs) command="$command $1 FOLDER" ;;
      *) command="$command $1 ${2@Q}" ;;
    esac
    printf -v "$name" %s "$value"
    shift 2
  done
}

# json TEXT: a string of JSON.
json() {
  tr '[:cntrl:]' ' ' <<<"$1" | sed 's/[\\"]/\\&/g; s/^/"/; s/ $/"/'
}

commit() { git -C "$bough" rev-parse --short HEAD 2>/dev/null || echo unknown; }

# Members of a result, JSON: what made it, when, where; a comma behind each.
result_head() {
  local processor cores
  processor=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
  cores=$(OMP_NUM_THREADS='' OMP_THREAD_LIMIT='' nproc)  # which else says what they say
  cat <<JSON
  "command": $(json "$command"),
  "commit": "$(commit)",
  "date": "$(date -u +%Y-%m-%d)",
  "processor": $(json "$processor, $cores cores"),
JSON
}

# Makes the folder $work, and its name whole.
make_work() {
  mkdir -p -- "$work"
  work=$(whole "$work")
}

# keep_recipe FILE TEXT MADE...: FILE has the recipe that the files and folders MADE were made by. Where TEXT is another
# one, they go; what has no recipe may be somebody else's.
keep_recipe() {
  local made
  [ "$(cat "$1" 2>/dev/null)" != "$2" ] || return 0
  for made in "${@:3}"; do
    [ -e "$1" ] || [ ! -e "$made" ] || fail "the recipe of '$made' is not known; remove it, or give another --work"
  done
  rm -rf -- "${@:3}"
  printf '%s\n' "$2" >"$1"
}

# make_venv FOLDER PIP_ARGUMENT...: an environment of Python with packages. Its file ready says that it was finished, and
# with which. In $bough.
make_venv() {
  [ "$(cat "$1/ready" 2>/dev/null)" != "${*:2}" ] || return 0
  experiments/install.sh --venv
  rm -f -- "$1/ready"
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet "${@:2}"
  echo "${*:2}" >"$1/ready"
}

# average_last FOLDER NUMBER: the mean of its last NUMBER checkpoints becomes average.npz; averaged has their updates, a
# line each. Uses $programs.
average_last() {
  local update checkpoints=()
  # By update number, so that iter10000 comes after iter9500.
  find "$1" -name 'model.iter*.npz' | sed 's/^.*model\.iter\([0-9]*\)\.npz$/\1/' | grep -x '[0-9]*' | sort -n |
    tail -n "$2" >"$1/averaged"
  while read -r update; do checkpoints+=("$1/model.iter$update.npz"); done <"$1/averaged"
  "$programs/bough-average" "$1/average.npz" "${checkpoints[@]}"
}

# have_programs [TARGET...]: builds them, or all, into build/ unless $programs names a folder. In $bough.
have_programs() {
  [ -z "$programs" ] || return 0
  experiments/install.sh
  cmake --preset cpu >/dev/null
  cmake --build build ${1:+--target "$@"} >&2
  programs=$bough/build
}
