# shellcheck shell=bash disable=SC2034  # variables of those who source it
# Sourced by the scripts in the folders here.

fail() {
  echo "${0##*/}: $1" >&2
  exit 1
}

# take_options "NAME ..." "$@": sets the variable NAME to the VALUE of each --NAME VALUE; the names that were given are
# in $given, each with a space before it.
take_options() {
  local names=" $1 " name
  shift
  given=""
  while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "$1 needs a value; see the first lines of this script"
    name=${1#--}
    case "$names" in
      *" $name "*) [ "$1" = "--$name" ] || fail "'$1' is not an option of this script" ;;
      *) fail "'$1' is not an option of this script" ;;
    esac
    printf -v "$name" %s "$2"
    given="$given $1"
    shift 2
  done
}
