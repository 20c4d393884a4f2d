#!/usr/bin/env bash
# Installs the Debian packages that building bough needs, those that are missing only.
# --peers: what products are timed beside; --pieces: SentencePiece's programs. As root with apt-get; otherwise prints the
# one line to run and stops. Usage: install.sh [--tests] [--python] [--venv] [--peers] [--pieces] [--package] [--arm]
set -eu
packages="g++ cmake ninja-build ccache libeigen3-dev libsentencepiece-dev libyaml-cpp-dev
  libcli11-dev libfmt-dev libspdlog-dev libzip-dev zlib1g-dev nlohmann-json3-dev libicu-dev"
for option in "$@"; do
  case $option in
    --tests) packages="$packages catch2 python3 libboost-context-dev clang-format libopenmpi-dev openmpi-bin" ;;
    --python) packages="$packages python3" ;;
    --venv) packages="$packages python3 python3-venv" ;;
    --peers) packages="$packages libdnnl-dev" ;;
    --pieces) packages="$packages sentencepiece" ;;
    --package) packages="$packages dpkg-dev file man-db qemu-user-static" ;;
    --arm) packages="$packages g++-aarch64-linux-gnu qemu-user-static" ;;
  esac
done
missing=""
for package in $packages; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "install: these Debian packages (or your system's own of them) are needed:$missing" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "install: run this once, then start again:  sudo apt-get install -y$missing" >&2
  exit 1
fi
echo "install:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends $missing >/dev/null
