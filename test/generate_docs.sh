#!/bin/sh
# Writes the parts of docs/ that come from tables in the source. Argument: a build folder with tests.
set -e
cd "$(dirname "$0")/.."
build=${1:-build-test}
mkdir -p docs
"$build/bough-test" "[.generate-docs]"
