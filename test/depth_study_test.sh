#!/usr/bin/env bash
# The driver of experiments/depth with one toy cell: training, a kill in its middle, resume, the result's JSON, tables.
# Usage: depth_study_test.sh BUILD_FOLDER
set -u
depth=$(cd "$(dirname "$0")/../experiments/depth" && pwd)
. "$(dirname "$0")/checks.sh"

study() {  # study NAME ARGUMENTS...: work and results folders of that name
  local name=$1
  shift
  python3 -B "$depth/study.py" --bin "$bin" --data data --work "$name/work" --results "$name/results" --jobs 1 "$@"
}

# The example corpus under Multi30k's names, as the lower-cased, tokenised form.
"$bin/bough-example-corpus" corpus 3000 40 40
mkdir -p data/tok
for language in en de; do
  cp "corpus/train.$language" "data/tok/train.$language"
  cp "corpus/dev.$language" "data/tok/val.$language"
  cp "corpus/test.$language" "data/tok/test_2016_flickr.$language"
done

# The example corpus has too few words for the vocabulary of config.yml.
mkdir -p whole/work parts/work vocabulary
"$bin/bough-train" -c "$depth/config.yml" --quiet --model vocabulary/model.npz --vocabs whole/work/tok.spm whole/work/tok.spm \
  --dim-vocabs 300 300 --train-sets data/tok/train.en data/tok/train.de --tempdir . --after 1u --dim-emb 16 \
  --transformer-heads 1 --mini-batch-words 100
cp whole/work/tok.spm parts/work

study whole trial >/dev/null 2>whole.txt
check "an uninterrupted cell ends well" test $? = 0
check "the estimate comes first" bash -c 'head -n 3 whole.txt | grep -q "trial  *1  *0  *1 "'

# kill -9 of driver and training behind a checkpoint, then the same command again.
study parts trial >/dev/null 2>&1 &
driver=$!
state=parts/work/cells/trial/small/model.npz.optimizer.npz
for _ in $(seq 200); do [ ! -e $state ] || break; sleep 0.05; done
check "there is a checkpoint" test -e $state
# shellcheck disable=SC2046  # process numbers are words
kill -9 $driver $(grep -lsF "$work/$(dirname $state)" /proc/[0-9]*/cmdline | cut -d / -f 3) 2>/dev/null
wait $driver 2>/dev/null
check "an interrupted cell has no result" test ! -e parts/results/trial/small.json
study parts trial >/dev/null 2>parts.txt
check "the same command ends it" test $? = 0
check "... from the checkpoint" says "resumed" parts/work/cells/trial/small/train.log
python3 - <<'PY'
import json
whole, parts = (json.load(open(f"{name}/results/trial/small.json")) for name in ("whole", "parts"))
for result in (whole, parts):
    result.pop("seconds")
assert whole == parts, "an interrupted cell gives another result"
assert whole["training"]["update"] == list(range(5, 301, 5)), whole["training"]["update"]
assert whole["validation"]["update"] == [100, 200, 300]
losses = whole["training"]["loss"]
assert len(losses) == 60 and losses[-1] < losses[0] - 1, losses
assert whole["layers"]["update"] == [100, 200, 300] and whole["layers"]["layer"] == [1, 2]
assert all(n > 0 for n in whole["layers"]["update_norm"] + whole["layers"]["model_update"])
assert all(g > 0 for g in whole["layers"]["encoder"]["gradient"][0] + whole["layers"]["decoder"]["branch_ratio"])
assert whole["exit_code"] == 0 and whole["bleu"]["tokenizer"] == "none"
PY
check "interrupted = uninterrupted, and the numbers are there" test $? = 0
check "the translations are kept" bash -c 'gzip -dc whole/results/translations/small.de.gz | cmp - whole/work/cells/trial/small/test.de'
check "... in the same bytes" cmp -s whole/results/translations/small.de.gz parts/results/translations/small.de.gz
study parts trial >/dev/null 2>again.txt
check "a finished cell does not run again" bash -c 'grep -q "trial  *1  *1  *0 " again.txt'

# Figures from results: those of every study, as it would be from finished cells.
python3 -B - "$depth" <<'PY'
import json, os, sys
import xml.dom.minidom
sys.path.insert(0, sys.argv[1])
import cells, figures, measure, tables

# Lines as log-layer-norms writes them, for two layers a stack; one norm is not a number.
layers = [f"{stack}_l{n}" for stack in ("encoder", "decoder") for n in (1, 2)]
lines = [{"update": u, "layers": ["embeddings", *layers], "layer_gradient_norms": [9, u, None, 3, 4],
          "layer_update_norms": [0, 1, 2, 2, 4], "sites": ["encoder_l1_self", "encoder_l1_ffn", "decoder_l2_ffn"],
          "branch_ratios": [1, 2, 3], "model_update": 0.5} for u in (50, 100)]
norms = measure.layer_norms(lines, 2)
assert norms["update_norm"] == [5, 5] and norms["decoder"]["update"] == [[2, 4]] * 2, norms
assert norms["encoder"]["gradient"] == [[50, None], [100, None]] and norms["encoder"]["branch_ratio"] == [1.5, 1.5]
assert measure.shown_layers(500) == [1, 56, 112, 167, 223, 278, 334, 389, 445, 500], measure.shown_layers(500)

toy = json.load(open("whole/results/trial/small.json"))
every = {}
for number, c in enumerate(cells.all_cells()):
    loss = [v + (number % 5) for v in toy["training"]["loss"]]
    loss[3] = None
    toy_like = {**toy, "study": c.study, "kind": c.kind, "layers": norms, "training": {**toy["training"], "loss": loss},
                "exit_code": 3 if number % 7 == 0 else 0}
    every[c.study, c.name] = (c, None if number % 11 == 0 else toy_like)
for name, content in (("some", every), ("none", {k: (c, None) for k, (c, _) in every.items()})):
    tables.write_all(content, [], name)
    figures.write_all(content, name)
pictures = [f for f in os.listdir("some") if f.endswith(".svg")]
assert len(pictures) == len(figures.FIGURES), pictures
for picture in pictures:
    text = open(f"some/{picture}").read()
    assert "nan" not in text.lower().replace("nanum", ""), picture
    assert xml.dom.minidom.parseString(text).documentElement.tagName == "svg"
assert not [f for f in os.listdir("none") if f.endswith(".svg")]
assert "not run" in open("none/tables.md").read()
PY
check "figures are well-formed, none without results" test $? = 0

report
