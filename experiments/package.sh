#!/usr/bin/env bash
# Makes the Debian package for any x86-64 machine, and looks at it: pages, completions, older processors (in qemu), no
# folder of this machine in it. Some minutes, most of them to build. Usage: package.sh
# There:  apt install ./bough_VERSION_amd64.deb
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/options.sh"
[ $# = 0 ] || fail "'$1' is not an option of this script, which has none"
cd "$bough"
experiments/install.sh --package
cmake --preset package >/dev/null
cmake --build build-package >&2
(cd ./build-package && rm -f bough_*.deb && cpack >cpack.txt) || { cat build-package/cpack.txt >&2; exit 1; }
package=$(ls build-package/bough_*.deb)
contents=build-package/contents
rm -rf "$contents"
dpkg-deb -x "$package" "$contents"
for program in "$contents"/usr/bin/*; do
  if readelf -d "$program" | grep -E 'R(UN)?PATH'; then
    fail "$program looks for libraries in a folder of this machine"
  fi
done
# Its folders, not itself: a checkout may lie at /opt, and /opt may be named.
sources=(apps/ core/ cuda/ data/ layers/ optim/ experiments/ packaging/ build-package/)
if grep -lF "$(printf '%s\n' "${sources[@]/#/"$PWD/"}")" "$contents"/usr/bin/*; then
  fail "these programs name the folder that they were built in"
fi
test/install_test.sh build-package
test/processors_test.sh build-package || [ $? = 77 ]
echo "$package: $(stat -c %s "$package") bytes, needs $(dpkg-deb -f "$package" Depends)"
