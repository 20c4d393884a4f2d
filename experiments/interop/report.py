#!/usr/bin/env python3
"""What run.sh found out. With the standard library alone.

Usage: report.py model FOLDER HEAD   JSON of one model behind HEAD, members that say when and where it was measured
                                     (options.sh: result_head); fails if a parameter comes back from Hugging Face with
                                     another bit
       report.py table RESULT.json   the table of README.md
"""
import json
import os
import sys

import npz

READERS = {"ct2": "CTranslate2", "ct2-positions": "CTranslate2, with `positions.py`",
           "hf-as-theirs": "Hugging Face, as its own converter", "hf": "Hugging Face, by `hugging_face.py`"}


def model(folder, head):
    result = json.loads("{%s}" % head.rstrip(","))
    with open(os.path.join(folder, "compared.json"), encoding="utf-8") as file:
        result |= json.load(file)
    plain, returned = (npz.read(os.path.join(folder, f"{name}.npz")) for name in ("plain", "returned"))
    for arrays in plain, returned:
        arrays.pop(npz.SETTINGS)
    if plain != returned:
        sys.exit(f"report: parameters of '{folder}' come back from Hugging Face changed: "
                 f"{sorted(name for name in plain.keys() | returned.keys() if plain.get(name) != returned.get(name))[:3]}")
    scores = []
    for name in "bough", "torch":
        with open(os.path.join(folder, f"{name}.scores"), encoding="utf-8") as file:
            scores.append([float(line) for line in file])
    result["pytorch"] = {"references": len(scores[0]), "mean_log_probability": sum(scores[0]) / len(scores[0]),
                         "largest_difference": max(abs(a - b) for a, b in zip(*scores, strict=True))}
    result["returned_from_hugging_face"] = {"parameters": len(plain), "changed": 0}
    return result


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) and abs(value) < 1 else (
        round(value, 2) if isinstance(value, float) else value)


def table(result):
    print("| model | read by | equal translations | different: model / search / rounding | largest difference of a "
          "translation's log-probability, per token | ... with epsilon 1e-6 | BLEU |\n|---|---|---|---|---|---|---|")
    for name, found in result["test_2016_flickr"].items():
        print(f"| {name} | bough | | | | | {found['bleu']:.2f} |")
        for key, title in READERS.items():
            row = found["readers"][key]
            different = row["different"]
            search = sum(different[f"search_{who}"] for who in ("ours", "theirs", "both"))
            print(f"| {name} | {title} | {row['equal']} | {different['model']} / {search} / {different['tie']} | "
                  f"{row['deviation']['largest']:.1e} | {row['deviation_with_marians_epsilon']['largest']:.1e} | "
                  f"{row['bleu']:.2f} |")


def main(arguments):
    if (arguments[:1], len(arguments)) not in ((["model"], 3), (["table"], 2)):
        sys.exit(__doc__)
    if arguments[0] == "model":
        print(json.dumps(rounded(model(*arguments[1:])), indent=1).replace("\n", "\n    "))
    else:
        with open(arguments[1], encoding="utf-8") as file:
            table(json.load(file))


if __name__ == "__main__":
    main(sys.argv[1:])
