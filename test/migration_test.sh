#!/usr/bin/env bash
# experiments/migration, shortened: every step of it works. Usage: migration_test.sh BUILD_FOLDER
set -u
migration=$(cd "$(dirname "$0")/../experiments/migration" && pwd)
. "$(dirname "$0")/checks.sh"
"$migration/run.sh" --work "$work" --programs "$bin" --sentences 800 --updates 90 --bleu 1 >out.txt 2>&1
check "a Marian user's afternoon" test $? = 0
[ "$failed" = 0 ] || cat out.txt
check "... to its end" says "everything as it should be" out.txt
# What a step makes is looked at: another translation is noticed, and named.
cd afternoon || exit
python3 -B "$migration/checks.py" nbest data/test.nbest data/test.ensemble.1best 6 2>message
check "another translation is noticed" says "is not the translation" message
sed '1s/F0= -/F0= -1/' data/test.nbest >other.nbest
python3 -B "$migration/checks.py" nbest other.nbest data/test.1best 6 2>message
check "another feature is noticed" says "is not F0 / length" message
report
