#!/usr/bin/env bash
# Installs the Debian packages that building bough needs, those that are missing only, as root with apt-get; otherwise
# prints the one line to run and stops. Where there is no dpkg it says what is needed: CMake names what is missing.
# --venv: environments of Python; --extensions: what pip compiles packages with; --peers: what products are timed beside;
# --pieces: SentencePiece's programs; --package: what package.sh needs; --arm: what test/arm needs.
# Usage: install.sh [--tests] [--python] [--venv] [--extensions] [--peers] [--pieces] [--package] [--arm]
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/options.sh"
packages="g++ cmake ninja-build ccache libeigen3-dev libsentencepiece-dev libyaml-cpp-dev
  libcli11-dev libfmt-dev libspdlog-dev libzip-dev zlib1g-dev nlohmann-json3-dev libicu-dev"
for option in "$@"; do
  case $option in
    --tests) packages="$packages catch2 python3 libboost-context-dev clang-format libopenmpi-dev openmpi-bin" ;;
    --python) packages="$packages python3" ;;
    --venv) packages="$packages python3 python3-venv" ;;
    --extensions) packages="$packages python3-dev make" ;;
    --peers) packages="$packages libdnnl-dev" ;;
    --pieces) packages="$packages sentencepiece" ;;
    --package) packages="$packages dpkg-dev file man-db qemu-user-static" ;;
    --arm) packages="$packages g++-aarch64-linux-gnu qemu-user-static" ;;
    *) fail "'$option' is not an option of this script; --help lists them" ;;
  esac
done
if ! command -v dpkg-query >/dev/null; then
  # shellcheck disable=SC2086  # packages are words
  echo "install.sh: no dpkg here; what is needed, by Debian's names:" $packages >&2
  exit
fi
missing=""
for package in $packages; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || fail "there is no apt-get; install these Debian packages otherwise:$missing"
[ "$(id -u)" = 0 ] || fail "run this once, then start again:  sudo apt-get install -y$missing"
echo "install.sh:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
