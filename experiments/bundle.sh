#!/usr/bin/env bash
# Makes one archive, below 40 MB, with which a machine that has a GPU can run gpu_check.sh and train: programs, scripts, a
# small corpus and the small shared libraries. It runs on another x86-64 Linux whose C library is not older than this
# one's. CUDA's own libraries are not in it: gpu_check.sh finds them there.
# Usage: bundle.sh [--architectures "80;90a;100;120"] [--processor x86-64-v3] [--emulated] [ARCHIVE.tar.xz]
#   --emulated   the programs of the tests instead, which need no GPU: to try the archive
# There:  tar xf ARCHIVE.tar.xz && bough-gpu/experiments/gpu_check.sh      (no xz: python3 -m tarfile -e ARCHIVE.tar.xz)
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/options.sh"
preset=cuda architectures="" processor=x86-64-v3 archive=""
while [ $# -gt 0 ]; do
  case $1 in
    --architectures | --processor)
      [ $# -ge 2 ] || fail "$1 needs a value; --help says which"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --emulated) preset=test ;;
    -*) fail "'$1' is not an option of this script; --help lists them" ;;
    *) archive=$(whole "$1") ;;
  esac
  shift
done
[ -z "$archive" ] || [ -d "$(dirname -- "$archive")" ] || fail "the folder of '$archive' is not there; make it first"
[ ! -d "$archive" ] || fail "'$archive' is a folder, must be the name of a file"
cd "$bough"

build=build-bundle programs="train translate score train-speed decode-speed kernel-speed" suffix=""
# Without MPI and NCCL: those libraries must be what is there, and programs that load them would not start without.
options=(-DBOUGH_MPI=OFF -DBOUGH_NCCL=OFF "-DBOUGH_ARCH=$processor" -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON
  "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags")
if [ "$preset" = test ]; then
  build=build-bundle-emulated suffix=-emulated programs="train translate train-speed decode-speed kernel-speed"
else
  nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
  [ -n "$nvcc" ] || fail "nvcc is not on the PATH, nor in /usr/local/cuda; install the CUDA toolkit, or try --emulated"
  if [ -z "$architectures" ]; then
    known=$("$nvcc" --list-gpu-code)
    for a in 80 90a 100 120; do
      if grep -qx "sm_${a%a}" <<<"$known"; then architectures="${architectures:+$architectures;}$a-real"; fi
    done
    architectures=${architectures%-real}  # the newest as PTX too, for what comes after it
  fi
  options+=("-DBOUGH_CUDA_ARCHITECTURES=$architectures" "-DCMAKE_CUDA_COMPILER=$nvcc")
fi
archive=${archive:-$build/bough-gpu.tar.xz}
targets="bough-test bough-example-corpus"
for program in $programs; do targets="$targets bough-$program$suffix"; done

experiments/install.sh --tests
# shellcheck disable=SC2016  # the loader looks beside the program first
cmake --preset "$preset" -B "$build" "${options[@]}" '-DCMAKE_INSTALL_RPATH=$ORIGIN/../lib' >/dev/null
# shellcheck disable=SC2086  # targets are words
cmake --build "$build" --target $targets >&2

folder=$build/bough-gpu
rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/lib" "$folder/experiments"
for target in $targets; do strip -o "$folder/bin/$target" "$build/$target"; done
"$build/bough-example-corpus" "$folder/corpus" 3000 100 100
cp experiments/gpu_check.sh "$folder/experiments"
cp -r experiments/gpu experiments/speed "$folder/experiments"
find "$folder/experiments" \( -name '*.cc' -o -name '*.h' -o -name __pycache__ \) -prune -exec rm -r {} +
cp LICENSE "$folder"
{ git describe --always --dirty 2>/dev/null || echo unknown; echo "built with ${options[*]}"; } >"$folder/VERSION"

# What the programs load, but the C library (it must fit the kernel and loader there) and what CUDA brings.
for program in "$folder"/bin/*; do ldd "$program"; done | sort -u |
  while read -r name arrow path rest; do
    case $name in
      linux-vdso*|ld-linux*|/*|libc.so*|libm.so*|libdl.so*|libpthread.so*|librt.so*|libresolv.so*) continue ;;
      libcuda.so*|libcublas.so*|libcublasLt.so*|libnccl.so*) continue ;;
    esac
    if [ "$arrow $path $rest" = "=> not found" ] || [ ! -f "$path" ]; then
      fail "$name, which a program loads, is not on this machine"
    fi
    cp -L "$path" "$folder/lib/$name"
  done
strip --strip-unneeded "$folder"/lib/*

# The programs hold the same kernels: with a large dictionary they are stored once.
tar -C "$build" -c bough-gpu | python3 -c '
import lzma, shutil, sys
filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 256 << 20}]
with lzma.open(sys.stdout.buffer, "wb", filters=filters) as archive:
    shutil.copyfileobj(sys.stdin.buffer, archive, 1 << 20)' >"$archive.new"
mv "$archive.new" "$archive"
bytes=$(stat -c %s "$archive")
echo "$archive: $((bytes / 1000000)) MB, version $(head -n 1 "$folder/VERSION")"
if [ "$bytes" -ge 40000000 ]; then
  fail "the archive has $bytes bytes, must be below 40000000; leave out architectures"
fi
