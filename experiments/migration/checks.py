"""What run.sh holds its steps against: checks.py STEP FILES. A sentence and exit code 1 where a step is wrong."""
import glob
import os
import re
import subprocess
import sys


def lines(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def must(condition, sentence):
    if not condition:
        sys.exit(f"checks: {sentence}")


def bleu(hypothesis, reference, programs):
    command = [os.path.join(programs, "bough-score"), reference, "-i", hypothesis, "-m", "bleu", "-tok", "none", "-b", "-w", "2"]
    return float(subprocess.run([*command, "--force"], capture_output=True, text=True, check=True).stdout)


def nbest(path):
    """[(id, hypothesis, {feature: value}, score)]"""
    rows = []
    for line in lines(path):
        number, text, features, score = line.split(" ||| ")
        values = re.findall(r"(\S+)= (\S+)", features)
        must(" ".join(f"{name}= {value}" for name, value in values) == features, f"features '{features}' are not NAME= NUMBER")
        rows.append((int(number), text, {name: float(value) for name, value in values}, float(score)))
    return rows


def first_of_each(rows):
    found = {}
    for row in rows:
        found.setdefault(row[0], row)
    return [found[number][1] for number in sorted(found)]


def vocabulary(path):
    text = lines(path)
    must(text[:2] == ["</s>: 0", "<unk>: 1"], f"{path} begins with {text[:2]}, must begin with </s> and <unk>")
    must(100 < len(text) <= 3000, f"{path} has {len(text)} entries, must have at most 3000, and many")


def configuration(path):
    text = "\n".join(lines(path))
    for wanted in ("model: model/model.npz", "valid-script-path: bash ./scripts/validate.sh", "tied-embeddings-all: true",
                   "dim-emb: 64", "normalize: 0.6", "clip-norm: 5"):
        must(wanted in text, f"{path} lacks '{wanted}'")
    must("dump-config" not in text, f"{path} dumps configurations itself")


def training(folder, updates):
    for name in ("", ".yml", ".optimizer.npz", ".progress.yml", ".decoder.yml"):
        must(os.path.getsize(f"{folder}/model.npz{name}") > 0, f"model.npz{name} is empty")
    iterations = sorted(int(re.search(r"iter(\d+)", path)[1]) for path in glob.glob(f"{folder}/model.iter*.npz"))
    wanted = [int(updates) // 3 * n for n in (1, 2, 3)]
    must(set(wanted) <= set(iterations), f"there are models of updates {iterations}, must be {wanted}")
    must(any(re.search(rf"Ep\. \d+ : Up\. {wanted[0]} : Sen\. [\d,]+ : Cost [\d.]+ .*words/s : gNorm [\d.]+ : L\.r\. ", line)
             for line in lines(f"{folder}/train.log")), "train.log lacks Marian's training lines")


def validation(log, best, output, reference, programs):
    rows = [re.search(r"Up\. (\d+) : translation : ([\d.]+) : ", line) for line in lines(log) if "translation" in line]
    must(len(rows) >= 3 and all(rows), f"{log} has {len(rows)} lines of translation, must have 3 in Marian's form")
    values = {int(row[1]): float(row[2]) for row in rows}
    must(values[int(best)] == max(values.values()), f"update {best} is not the best of {values}")
    found = bleu(output, reference, programs)
    must(abs(found - values[max(values)]) < 0.006, f"the script said {values[max(values)]}, the translation has BLEU {found}")


def translation(path, reference, programs, least):
    must(len(lines(path)) == len(lines(reference)), f"{path} has {len(lines(path))} lines, must have {len(lines(reference))}")
    found = bleu(path, reference, programs)
    print(f"  {path}: BLEU {found:.2f}", file=sys.stderr)
    must(found >= float(least), f"{path} has BLEU {found}, must have {least}")


def n_best(path, one_best, beam):
    rows = nbest(path)
    must(first_of_each(rows) == lines(one_best), f"the first of each n-best list in {path} is not the translation")
    for number in {row[0] for row in rows}:
        scores = [row[3] for row in rows if row[0] == number]
        must(len(scores) == int(beam) and scores == sorted(scores, reverse=True), f"list {number} is {scores}, must fall")
    for _, text, features, score in rows:
        must(abs(features["F0"] / (len(text.split()) + 1) - score) < 1e-4, f"score {score} is not F0 / length")


def rescoring(path, forward, backward, best):
    before, first, second = map(nbest, (path, forward, backward))
    for a, b, c in zip(before, first, second, strict=True):
        must(a[:2] == b[:2] == c[:2], f"rescoring has changed '{a[1]}'")
        must(b[2]["F0"] == a[2]["F0"] == c[2]["F0"], "rescoring has changed F0")
        must(abs(b[2]["L2R"] - a[2]["F0"]) < 1e-3 + 1e-5 * abs(a[2]["F0"]),
             f"the scorer says {b[2]['L2R']}, the decoder {a[2]['F0']}")
    must(any(abs(c[2]["R2L"] - c[2]["F0"]) > 0.01 for c in second), "from right to left it scores as from left to right")
    found = {}
    for number, text, features, _ in second:
        found.setdefault(number, []).append(((features["F0"] + features["R2L"]) / (len(text.split()) + 1), text))
    with open(best, "w", encoding="utf-8") as file:
        file.writelines(max(found[number])[1] + "\n" for number in sorted(found))


def ensemble(path, twice, one_best, best):
    rows = nbest(path)
    for _, text, features, score in rows:
        must(set(features) == {"F0", "F1"}, f"features of two models are {sorted(features)}, must be F0 and F1")
        mean = (features["F0"] + features["F1"]) / 2 / (len(text.split()) + 1)
        must(abs(mean - score) < 1e-3, f"score {score} is not the mean of both models, {mean}")
    must(any(abs(row[2]["F0"] - row[2]["F1"]) > 0.01 for row in rows), "both models say the same")
    must(lines(twice) == lines(one_best), "a model with itself translates otherwise than alone")
    with open(best, "w", encoding="utf-8") as file:
        file.writelines(text + "\n" for text in first_of_each(rows))


def points(text):
    return {tuple(map(int, point.split("-"))) for point in text.split()}


def alignments(decoded, one_best, sources, taught, untaught, aligned):
    for line, text, source in zip(lines(decoded), lines(one_best), lines(sources), strict=True):
        found, links = line.split(" ||| ")
        must(found == text, f"with alignments '{found}', without '{text}'")
        ends = len(source.split()), len(text.split())
        must(all(s <= ends[0] and t <= ends[1] for s, t in points(links)), f"'{links}' leaves the sentence")
        must(len({t for _, t in points(links)}) == ends[1] + 1, f"'{links}' leaves words of '{text}' out")
    wanted = [points(line) for line in lines(aligned)]
    shares = [sum(len(of & points(line.split(" ||| ")[1])) for of, line in zip(wanted, lines(path), strict=True)) /
              sum(map(len, wanted)) for path in (taught, untaught)]
    print("  {:.0%} of the aligner's points with guided alignment, {:.0%} without".format(*shares), file=sys.stderr)
    must(shares[0] > 1.2 * shares[1], "attention has {:.3f} of the points that it was taught, {:.3f} untaught".format(*shares))


STEPS = {"vocabulary": vocabulary, "configuration": configuration, "training": training, "validation": validation,
         "translation": translation, "nbest": n_best, "rescoring": rescoring, "ensemble": ensemble, "alignments": alignments}
STEPS[sys.argv[1]](*sys.argv[2:])
