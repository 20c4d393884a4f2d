# shellcheck shell=bash disable=SC2154  # variables of options.sh
# Sourced behind options.sh by scripts that train on Multi30k.
# multi30k_data FOLDER [WORK [LIST]]: checks the files in FOLDER against checksums.sha256, all of them, and those of a
# further LIST of the kind; with FOLDER empty, downloads into WORK/data what is missing there. Sets $data to the folder's
# whole path.
multi30k_source=https://raw.githubusercontent.com/multi30k/dataset/master/data/task1

multi30k_download() {  # multi30k_download FOLDER LIST...
  command -v curl >/dev/null || fail "curl is needed for the download; install it or give --data"
  mkdir -p "$1/tok"
  local file name
  while read -r _ file; do
    [ ! -s "$1/$file" ] || continue
    echo "downloading $file" >&2
    name=${file##*/}
    case $file in
      tok/*) curl -fsSL "$multi30k_source/tok/${name%.*}.lc.norm.tok.${name##*.}" >"$1/$file.part" ;;
      *) curl -fsSL "$multi30k_source/raw/$name.gz" | gzip -dc >"$1/$file.part" ;;
    esac || fail "$file cannot be downloaded from $multi30k_source; try again later or give --data"
    mv "$1/$file.part" "$1/$file"
  done < <(cat "${@:2}")
}

multi30k_data() {
  local lists=("$bough/experiments/multi30k/checksums.sha256" "${@:3}")
  data=$1
  if [ -z "$data" ]; then
    data=$2/data
    multi30k_download "$data" "${lists[@]}"
  fi
  (cd "$data" && cat "${lists[@]}" | sha256sum --quiet -c - >&2) ||
    fail "the files in '$data' are not those of Multi30k task 1; remove the ones named above, or give another --data"
}
