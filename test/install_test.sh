#!/usr/bin/env bash
# What `cmake --install` puts where; manual pages and completions, held against --help. A page is read by man where there
# is one.
set -u
# shellcheck source=test/checks.sh
. "$(dirname "$0")/checks.sh"
cmake --install "$bin" --prefix "$work/usr" >log.txt 2>&1
check "cmake --install works" test $? = 0
export PATH=$work/usr/bin:$PATH
share=$work/usr/share

names() { grep -o -- '--[a-z][a-z0-9-]*' | sort -u; }
# Options as --help has them: "  -b, --beam-size N  ...", sacreBLEU's "  --input, -i [FILE...]  ...".
options_of() { "$@" --help | sed -n 's/^ \{2,6\}\(-[^ ]*\)/\1/p' | sed 's/  .*//' | names; }
# Those of a manual page: heads of its definitions.
options_in_page() { grep -A 1 '^\.TP' "$1" | sed 's/\\f.//g; s/\\-/-/g' | names; }

# What bash proposes for the last word of a command line.
complete_words() {
  # shellcheck disable=SC2016
  bash -c '. "$1"; shift; compopt() { :; }
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    "_${1//-/_}" && printf "%s\n" "${COMPREPLY[@]}" | sort -u' _ "$share/bash-completion/completions/$1" "$@"
}
# A command line as it is where the TAB key was pressed at its end. In a session of its own: an interactive shell takes
# the terminal, if there is one.
tab() {
  printf '%s\n' ". '$share/bash-completion/completions/$1'" "$1() { echo \"$1 \$*\" >typed; }" "$*"$'\t' exit |
    TERM=dumb INPUTRC=/dev/null HISTFILE='' setsid -w timeout 60 bash --norc --noprofile -i >/dev/null 2>&1
  cat typed
}

programs=$(cd "$work/usr/bin" && ls)
check "programs are installed" test "$(wc -w <<<"$programs")" -ge 5
for program in $programs; do
  check "$program starts" test "$("$program" --version | head -n 1 | wc -w)" -ge 1
  page=$share/man/man1/$program.1
  options_of "$program" >options
  [ "$program" != bough-score ] || options_of "$program" --model x >>options
  sort -u options >wanted
  options_in_page "$page" >found
  check "$program has options" test -s wanted
  check "every option of $program is in its manual page" same wanted found
  for section in NAME SYNOPSIS DESCRIPTION OPTIONS "EXIT STATUS" "SEE ALSO"; do
    check "$program(1) has $section" says ".SH $section" "$page"
  done
  if command -v man >/dev/null; then
    LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings=w -l "$page" >page.txt 2>warnings.txt
    check "man reads $program(1)" test $? = 0
    check "... without warnings (was: $(head -n 1 warnings.txt))" test ! -s warnings.txt
    check "... as text" says "$program - " page.txt
    while read -r option; do says "$option" page.txt || echo "$option"; done <wanted >missing
    check "... with its options (without: $(head -n 1 missing))" test ! -s missing
  fi
  completion=$share/bash-completion/completions/$program
  check "the completion of $program is bash" bash -n "$completion"
  check "... and has every option" test "$(complete_words "$program" --)" = "$(cat wanted)"
  check "fish completes $program" says "complete -c $program" "$share/fish/vendor_completions.d/$program.fish"
done
check "the beginning of an option is completed" test "$(complete_words bough-train --enc-)" = --enc-depth
check "a word that is a value is completed" test "$(complete_words bough-train --cpu-level a | xargs)" = "auto avx2 avx512"
check "... behind =" test "$(complete_words bough-train --cpu-level = gen)" = generic
check "... and the second of a list" \
  test "$(complete_words bough-train --valid-metrics bleu chr)" = chrf
check "names of files are left to the shell" test -z "$(complete_words bough-train --train-sets cor)"
touch corpus.en
for row in "--enc-:--enc-depth" "--cpu-level gen:--cpu-level generic" "--cpu-level=gen:--cpu-level=generic" \
  "--train-sets cor:--train-sets corpus.en" "--config cor:--config corpus.en" "-c cor:-c corpus.en" \
  "--seed cor:--seed cor"; do
  check "TAB in bash makes '${row%:*}' '${row#*:}'" test "$(tab bough-train "${row%:*}")" = "bough-train ${row#*:}"
done
check "fish proposes files for -c" says "-s c -l config -r -F" "$share/fish/vendor_completions.d/bough-train.fish"
for file in README.md copyright docs/options.md; do check "$file is installed" test -s "$share/doc/bough/$file"; done
(
  cd "$share/doc/bough" || exit
  for file in README.md docs/*.md; do
    grep -o '](\(\.\./\)*[A-Za-z_]*[/.][^)# ]*' "$file" | sed 's/^](//' | grep -v : | sort -u |
      while read -r link; do [ -e "$(dirname "$file")/$link" ] || echo "$file: $link"; done
  done
) >dead
check "links of installed documents lead somewhere (not: $(head -n 1 dead))" test ! -s dead

report
