#!/usr/bin/env python3
"""Translates with bough, CTranslate2 and Hugging Face, side by side, and says why translations differ. Called by run.sh.

Usage: compare.py PROGRAMS MODEL.npz VOCAB.spm SOURCE REFERENCE FOLDER   prints JSON; FOLDER has the models as others read
them: ct2, ct2-positions, hf-as-theirs, hf

Everyone gets the same pieces, beam 4, scores divided by length, no unknown words. Where translations differ, both programs
score both of them: each has its own as the better one -> what they compute differs (model); one has the other's as the
better one -> its search has missed it (search); they agree to TIE -> rounding decides.
"""
import json
import os
import subprocess
import sys

import sentencepiece
from readers import BEAM, CTranslate2, HuggingFace, versions

EPSILON = 1e-6  # Marian's, of layer norms
TIE = 1e-4  # of log-probabilities, per token


class Bough:
    def __init__(self, programs, model, vocabulary, folder):
        self.programs, self.model, self.vocabulary, self.folder = programs, model, vocabulary, folder

    def run(self, program, *arguments):
        common = ["--vocabs", self.vocabulary, self.vocabulary, "--no-spm-encode", "--quiet", "--cpu-threads", "1",
                  "--mini-batch", "64", "--maxi-batch", "100", "--maxi-batch-sort", "src"]
        done = subprocess.run([os.path.join(self.programs, program), *arguments, *common], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"compare: {program} failed: {done.stderr[-500:]}")
        return done.stdout.splitlines()

    def file(self, name, lines):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(" ".join(line) + "\n" for line in lines)
        return path

    def translate(self, sources):
        lines = self.run("bough-translate", "-m", self.model, "-i", self.file("sources", sources), "--beam-size", str(BEAM),
                         "--normalize", "1", "--no-spm-decode", "--quiet-translation")
        return [line.split() for line in lines]

    def score(self, sources, targets):
        return [float(line) for line in self.run("bough-score", "--model", self.model, "-t", self.file("sources", sources),
                                                 self.file("targets", targets))]


def verdict(ours, theirs):
    """Of one line. ours, theirs: by how much bough's, the reader's scores have bough's translation as the better one."""
    if abs(ours) < TIE or abs(theirs) < TIE:
        return "tie"
    if ours > 0:
        return "search_theirs" if theirs > 0 else "model"
    return "search_ours" if theirs < 0 else "search_both"


def per_token(scores, targets):
    return [score / (len(target) + 1) for score, target in zip(scores, targets)]


def compare(bough, reader, sources, own, processor):
    theirs = reader.translate(sources)
    equal = [a == b for a, b in zip(own, theirs)]
    same_text = sum(processor.decode(a) == processor.decode(b) for a, b in zip(own, theirs))
    rows = [i for i, same in enumerate(equal) if not same]
    counts = dict.fromkeys(("model", "search_ours", "search_theirs", "search_both", "tie"), 0)
    if rows:
        chosen = [sources[i] for i in rows]
        by = [[per_token(scorer.score(chosen, [texts[i] for i in rows]), [texts[i] for i in rows]) for texts in (own, theirs)]
              for scorer in (bough, reader)]
        for k in range(len(rows)):
            counts[verdict(by[0][0][k] - by[0][1][k], by[1][0][k] - by[1][1][k])] += 1
    return theirs, {"equal": sum(equal), "equal_text": same_text, "different": counts}


def deviation(bough_scores, reader, sources, own):
    """Largest and mean difference of log-probabilities, per token, of bough's translations."""
    scores = per_token(reader.score(sources, own), own)
    differences = [abs(a - b) for a, b in zip(per_token(bough_scores, own), scores)]
    return {"largest": max(differences), "mean": sum(differences) / len(differences)}


def bleu(bough, name, processor, lines, reference):
    path = os.path.join(bough.folder, f"translation.{name}")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(processor.decode(line) + "\n" for line in lines)
    done = subprocess.run([os.path.join(bough.programs, "bough-score"), reference, "-i", path, "-m", "bleu", "-b", "-w", "2"],
                          capture_output=True, text=True, check=True)
    return float(done.stdout)


def main():
    programs, model, vocabulary, source, reference, folder = sys.argv[1:]
    processor = sentencepiece.SentencePieceProcessor(model_file=vocabulary)
    with open(source, encoding="utf-8") as file:
        texts = file.read().splitlines()
    sources = [processor.encode(text, out_type=str) for text in texts]
    bough = Bough(programs, model, vocabulary, folder)
    own = bough.translate(sources)
    scores = bough.score(sources, own)
    result = {"sentences": len(own), "bleu": bleu(bough, "bough", processor, own, reference), "readers": {}}
    for name, kind in (("ct2", CTranslate2), ("ct2-positions", CTranslate2), ("hf-as-theirs", HuggingFace), ("hf", HuggingFace)):
        reader = kind(os.path.join(folder, name))
        theirs, row = compare(bough, reader, sources, own, processor)
        row["deviation"] = deviation(scores, reader, sources, own)
        row["deviation_with_marians_epsilon"] = deviation(scores, kind(os.path.join(folder, name), EPSILON), sources, own)
        row["bleu"] = bleu(bough, name, processor, theirs, reference)
        result["readers"][name] = row
        if kind is HuggingFace:
            tokens = [reader.tokenizer.convert_ids_to_tokens(reader.tokenizer(text).input_ids[:-1]) for text in texts]
            row["other_pieces"] = sum(a != b for a, b in zip(tokens, sources))
    reader.save(os.path.join(folder, "hf-saved"))
    print(json.dumps({**result, "versions": versions()}))


if __name__ == "__main__":
    main()
