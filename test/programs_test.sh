#!/usr/bin/env bash
# Every program that a script calls is there on a Debian 12 on which install.sh has run.
set -eu
exec python3 -B "$(dirname "$0")/programs.py"
