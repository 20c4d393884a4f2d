"""From what bough-train leaves behind to the small JSON file of a cell."""
import gzip
import json
import os
import subprocess

import cells


def rounded(value, digits=5):
    return None if value is None else float(f"{value:.{digits}g}")


def write_json(path, content):
    """Whole or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w") as out:
        out.write(compact(content) + "\n")
    os.replace(path + ".tmp", path)


def compact(content):
    """One line a key, so that differences can be read."""
    lines = [f'  {json.dumps(key)}: {json.dumps(value)}' for key, value in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def read_lines(path):
    """JSON lines; one that a kill cut short is left out."""
    lines = []
    if os.path.exists(path):
        for line in open(path):
            try:
                lines.append(json.loads(line))
            except ValueError:
                pass
    return lines


def training_curve(lines):
    """Loss (nats per target token) and gradient norm; None where every update since the last line was skipped."""
    curve = {"update": [], "loss": [], "gradient_norm": []}
    skipped = 0
    for line in lines:
        if "cost_mean_words" not in line:
            continue
        is_lost = line["cost_mean_words"] is None
        skipped = line["skipped_updates"]
        curve["update"].append(line["update"])
        curve["loss"].append(None if is_lost else rounded(line["cost_mean_words"]))
        curve["gradient_norm"].append(None if is_lost else rounded(line["gradient_norm"], 4))
    return curve, skipped


SHOWN_LAYERS = 10  # of each stack, evenly spaced, first and last among them


def shown_layers(depth):
    count = min(depth, SHOWN_LAYERS)
    return [1 + round(i * (depth - 1) / max(1, count - 1)) for i in range(count)]


def mean(values):
    return sum(values) / len(values) if values and None not in values else None


def layer_norms(lines, depth):
    """What log-layer-norms wrote: norms of gradient and update of some layers of each stack, [time][layer]; the mean
    ratio of branch to residual of each stack's sites, [time]; the norm of the whole update and what it did to the output."""
    lines = [line for line in lines if "layer_gradient_norms" in line]
    if not lines:
        return None
    out = {"update": [line["update"] for line in lines], "layer": shown_layers(depth),
           "update_norm": [], "model_update": [rounded(line.get("model_update"), 4) for line in lines]}
    for line in lines:
        norms = line["layer_update_norms"]
        out["update_norm"].append(None if None in norms else rounded(sum(n * n for n in norms) ** 0.5, 4))
    for stack in ("encoder", "decoder"):
        part = out[stack] = {"gradient": [], "update": [], "branch_ratio": []}
        for line in lines:
            places = [line["layers"].index(f"{stack}_l{number}") for number in out["layer"]]
            part["gradient"].append([rounded(line["layer_gradient_norms"][p], 4) for p in places])
            part["update"].append([rounded(line["layer_update_norms"][p], 4) for p in places])
            ratios = [r for site, r in zip(line["sites"], line["branch_ratios"]) if site.startswith(stack)]
            part["branch_ratio"].append(rounded(mean(ratios), 4))
    return out


def measure(cell, folder, exit_code, commit):
    """The result of a finished or diverged cell."""
    lines = read_lines(os.path.join(folder, "model.npz.metrics.jsonl"))
    training, skipped = training_curve(lines)
    valid = [line for line in lines if line.get("valid") == "ce-mean-words"]
    return {
        "study": cell.study,
        "cell": cell.name,
        "kind": cell.kind,
        "depth": cell.depth,
        "seed": cell.seed,
        "form": cell.form,
        "options": cell.options,
        "exit_code": exit_code,
        "updates": max(training["update"], default=0),
        "skipped_updates": skipped,
        "seconds": round(sum(line.get("seconds", 0) for line in lines)),
        "commit": commit,
        "training": training,
        "validation": {"update": [v["update"] for v in valid],
                       "cross_entropy": [rounded(v["value"]) for v in valid]},
        "layers": layer_norms(lines, cell.depth),
    }


def run_tool(arguments, folder, stdin=None, stdout=None):
    """Output of one of our programs; the cell's log gets its messages."""
    with open(os.path.join(folder, "tools.log"), "a") as log:
        done = subprocess.run(arguments, stdin=stdin, stdout=stdout or subprocess.PIPE, stderr=log, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{os.path.basename(arguments[0])} ended with {done.returncode}; see {folder}/tools.log")
    return done.stdout


TOKENIZERS = {"tok": "none", "cased": "13a", "languages": "none"}


def bleu_of(reference, output, tokenizer, bin_folder, folder):
    return float(run_tool([f"{bin_folder}/bough-score", reference, "-i", output, "-m", "bleu", "-tok", tokenizer, "-b",
                           "-w", "2", "--force"], folder))


def language_scores(reference, output, tokenizer, bin_folder, folder):
    """BLEU of each language: its part of the files, which have as many lines of each, in the order of cells.LANGUAGES."""
    scores = {}
    lines = [open(path).read().splitlines(keepends=True) for path in (reference, output)]
    count = len(lines[0]) // len(cells.LANGUAGES)
    for number, language in enumerate(cells.LANGUAGES):
        parts = [os.path.join(folder, f"{name}.{language}") for name in ("reference", "translation")]
        for path, whole in zip(parts, lines):
            with open(path, "w") as file:
                file.writelines(whole[number * count:(number + 1) * count])
        scores[language] = bleu_of(*parts, tokenizer, bin_folder, folder)
    return scores


def translate(cell, folder, bin_folder, text):
    """BLEU of the text, (source, reference); the translations are test.de in the folder."""
    output = os.path.join(folder, "test.de")
    with open(text[0]) as source, open(output + ".tmp", "w") as target:
        place = (["--devices", str(cell.options["devices"]), "--precision", *cell.options["precision"]] if cell.on_gpu
                 else ["--cpu-threads", "1"])
        run_tool([f"{bin_folder}/bough-translate", "-c", f"{folder}/model.npz.decoder.yml", *place,
                  "--mini-batch", "64", "--maxi-batch", "100", "--maxi-batch-sort", "src", "--quiet"],
                 folder, source, target)
    os.replace(output + ".tmp", output)
    tokenizer = TOKENIZERS[cell.form]
    result = {"tokenizer": tokenizer, "score": bleu_of(text[1], output, tokenizer, bin_folder, folder)}
    if cell.form == "languages":
        result["languages"] = language_scores(text[1], output, tokenizer, bin_folder, folder)
    return result


def keep_translations(folder, path):
    """Packed, for the paired tests: whenever the other cell of a pair ends. The same bytes whenever they are written."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.path.join(folder, "test.de"), "rb") as file, open(path + ".tmp", "wb") as packed:
        packed.write(gzip.compress(file.read(), mtime=0))
    os.replace(path + ".tmp", path)


def compare(first, second, files, bin_folder, reference, folder):
    """Paired tests of two cells' translations: p-values of bootstrap and of approximate randomisation."""
    tests = {}
    for test in ["bs", "ar"]:
        tests[test] = json.loads(run_tool(
            [f"{bin_folder}/bough-score", reference, "-i", *files, "-m", "bleu", "-tok",
             TOKENIZERS[first.form], "-w", "4", "-f", "json", "--force", f"-p{test}", "-j", "1"], folder))
    return {
        "baseline": first.name,
        "system": second.name,
        "tokenizer": TOKENIZERS[first.form],
        "baseline_bleu": rounded(tests["bs"][0]["BLEU"]["score"]),
        "system_bleu": rounded(tests["bs"][1]["BLEU"]["score"]),
        "p_bootstrap": rounded(tests["bs"][1]["BLEU"]["p_value"], 3),
        "p_randomisation": rounded(tests["ar"][1]["BLEU"]["p_value"], 3),
    }
