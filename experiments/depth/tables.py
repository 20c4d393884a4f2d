"""Tables: one CSV file a study, and all of them for reading in results/tables.md."""
import csv
import io
import os
import re
import statistics

import cells
import outcomes


def show(value, digits=3):
    return "" if value is None else f"{value:.{digits}f}"


def short(value):
    return "" if value is None else f"{value:.3g}"


def one_line(result):
    """A finished cell in a line."""
    text = f"{outcomes.outcome(result)}, {result['updates']} updates"
    if outcomes.final_loss(result) is not None:
        text += f", loss {show(outcomes.final_loss(result))}"
    if outcomes.final_cross_entropy(result) is not None:
        text += f", validation {show(outcomes.final_cross_entropy(result))}"
    if "bleu" in result:
        text += f", BLEU {result['bleu']['score']}"
    return text


HEAD = ["cell", "kind", "depth", "seed", "learn-rate", "warmup", "outcome", "updates", "skipped", "loss at end",
        "validation cross-entropy", "BLEU", "tokenizer", "largest gradient norm", "largest rise of loss", "seconds"]


def row(cell, result):
    first = [cell.name, cell.kind, cell.depth, cell.seed, cell.options["learn-rate"], cell.options["lr-warmup"]]
    if result is None:
        return first + ["not run"] + [""] * (len(HEAD) - len(first) - 1)
    bleu = result.get("bleu", {})
    return first + [outcomes.outcome(result), result["updates"], result["skipped_updates"],
                    show(outcomes.final_loss(result)), show(outcomes.final_cross_entropy(result)),
                    bleu.get("score", ""), bleu.get("tokenizer", ""), short(outcomes.largest_gradient(result)),
                    show(outcomes.spike(result)), result["seconds"]]


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(v) for v in r) + " |" for r in rows]) + "\n"


def comma_separated(head, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([head, *rows])
    return out.getvalue()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def matrix(every, study, key_of_row, key_of_column, value):
    """Rows and columns in the order of the table of cells."""
    found = [(key_of_row(c), key_of_column(c), value(c, r)) for c, r in every.values() if c.study == study]
    columns = list(dict.fromkeys(f[1] for f in sorted(found, key=lambda f: f[1])))
    rows = dict.fromkeys(f[0] for f in found)
    by_place = {(f[0], f[1]): f[2] for f in found}
    return [str(c) for c in columns], [[r] + [by_place.get((r, c), "") for c in columns] for r in rows]


def stability_table(every):
    def text(_, result):
        return f"{outcomes.outcome(result)} {show(outcomes.final_loss(result), 2)}" if result else "not run"

    columns, rows = matrix(every, "stability", lambda c: c.kind, lambda c: c.depth, text)
    return markdown(["kind"] + [f"{c}+{c}" for c in columns], rows)


def mean_and_deviation(values, digits=2):
    if not values:
        return "not run"
    text = show(statistics.fmean(values), digits)
    return text + (f" ± {show(statistics.stdev(values), digits)} ({len(values)})" if len(values) > 1 else " (1)")


def convergence_table(every):
    rows = []
    for form in ["tok", "cased"]:
        for depth in sorted({c.depth for c, _ in every.values() if c.study == "convergence" and c.form == form}):
            for kind in dict.fromkeys(c.kind for c, _ in every.values() if c.study == "convergence"):
                of_kind = [r for c, r in every.values() if (c.study, c.form, c.depth, c.kind) ==
                           ("convergence", form, depth, kind)]
                results = [r for r in of_kind if r]
                if not of_kind:
                    continue
                ce = [outcomes.final_cross_entropy(r) for r in results if outcomes.final_cross_entropy(r)]
                bleu = [r["bleu"]["score"] for r in results if "bleu" in r]
                rows.append([form, f"{depth}+{depth}", kind, mean_and_deviation(ce, 3), mean_and_deviation(bleu),
                             ", ".join(outcomes.outcome(r) for r in results)])
    return markdown(["text", "layers", "kind", "validation cross-entropy", "BLEU", "outcome"], rows)


def averaged_table(every, tests):
    """A line for each depth and seed."""
    found = [(c, r) for c, r in every.values() if c.study == "averaged"]
    kinds = ["branchnorm-bounded", "deepnorm", "branchnorm-no-ramp"]
    p_values = {t["system"]: f"{short(t['p_bootstrap'])}, {short(t['p_randomisation'])}" for t in tests
                if t["baseline"].startswith("averaged-deepnorm")}
    rows = []
    for depth, seed in sorted({(c.depth, c.seed) for c, _ in found}):
        of_kind = {c.kind: (c, r) for c, r in found if (c.depth, c.seed) == (depth, seed)}
        cell_texts = []
        for kind in kinds:
            r = of_kind.get(kind, (None, None))[1]
            cell_texts.append(f"{show(outcomes.final_cross_entropy(r))}, {r['bleu']['score']:.2f}" if r and "bleu" in r else "")
        rows.append([f"{depth}+{depth}", seed, *cell_texts, p_values.get(of_kind[kinds[0]][0].name, "")])
    return markdown(["layers", "seed", *kinds, "p of BLEU, default against DeepNorm"], rows)


def significance_table(tests):
    head = ["system", "against", "BLEU", "BLEU against", "p (bootstrap)", "p (randomisation)"]
    return head, [[t["system"], t["baseline"], show(t["system_bleu"], 2), show(t["baseline_bleu"], 2),
                   short(t["p_bootstrap"]), short(t["p_randomisation"])] for t in tests]


def outcome_table(every, study):
    rows = [[c.name, outcomes.outcome(r) if r else "not run", show(outcomes.final_cross_entropy(r)) if r else "",
             r.get("bleu", {}).get("score", "") if r else ""] for c, r in every.values() if c.study == study]
    return markdown(["cell (T in updates)", "outcome", "validation cross-entropy", "BLEU"], rows)


def on_the_way_table(every, study, head, key):
    """Cross-entropy on the way: which kind is ahead when. key: a cell's first columns, after the layers."""
    found = sorted(((c, r) for c, r in every.values() if c.study == study), key=lambda f: f[0].depth)
    updates = sorted({u for _, r in found if r for u in r["validation"]["update"]})
    rows = []
    for c, r in found:
        ce = dict(zip(r["validation"]["update"], r["validation"]["cross_entropy"])) if r else {}
        rows.append([f"{c.depth}+{c.depth}", *key(c), *(show(ce.get(u)) for u in updates),
                     r.get("bleu", {}).get("score", "") if r else "not run"])
    return markdown(["layers", *head, *map(str, updates), "BLEU"], rows)


def longer_table(every):
    return on_the_way_table(every, "longer", ["seed", "kind"], lambda c: [
        c.seed, c.kind + (f", smoothed ({c.smoothing})" if c.smoothing else "")])


def wide_table(every):
    return on_the_way_table(every, "wide", ["width", "kind"], lambda c: [c.options["dim-emb"], c.kind])


def languages_table(every):
    rows = []
    for c, r in every.values():
        if c.study == "languages":
            by_language = (r or {}).get("bleu", {}).get("languages", {})
            rows.append([f"{c.depth}+{c.depth}", c.kind, show(outcomes.final_cross_entropy(r)) if r else "not run",
                         *(by_language.get(language, "") for language in cells.LANGUAGES)])
    return markdown(["layers", "kind", "validation cross-entropy", *(f"BLEU {l}" for l in cells.LANGUAGES)],
                    sorted(rows, key=lambda row: int(row[0].split("+")[0])))


def robustness_table(every):
    rows = []
    for kind in dict.fromkeys(c.kind for c, _ in every.values() if c.study == "robustness"):
        results = [(c, r) for c, r in every.values() if c.study == "robustness" and c.kind == kind]
        run = [outcomes.outcome(r) for _, r in results if r]
        rows.append([kind, len(results), len(run)] + [run.count(o) for o in ("trained", "falling", "stuck", "diverged")])
    return markdown(["kind", "cells", "run", "trained", "falling", "stuck", "diverged"], rows)


def late_table(every):
    rows = []
    for c, r in every.values():
        if (c.study, c.depth, c.form) == ("convergence", 18, "tok") and r and r.get("layers"):
            layers = r["layers"]
            last = [layers["update_norm"], layers["model_update"], layers["encoder"]["branch_ratio"],
                    layers["decoder"]["branch_ratio"]]
            rows.append([c.kind, c.seed] + [short(last_quarter(values)) for values in last] +
                        [show(outcomes.final_cross_entropy(r)), r.get("bleu", {}).get("score", "")])
    return markdown(["kind", "seed", "update of all parameters", "change of the output", "branch / residual, encoder",
                     "branch / residual, decoder", "validation cross-entropy", "BLEU"], rows) if rows else "not run\n"


def full_table(every):
    rows = []
    for c, r in every.values():
        if c.study != "full":
            continue
        layers = r and r.get("layers")
        gradients = outcomes.known(layers["encoder"]["gradient"][-1]) if layers else []
        rows.append([f"{c.depth}+{c.depth}", c.kind, outcomes.outcome(r) if r else "not run",
                     show(outcomes.final_cross_entropy(r)) if r else "", r.get("bleu", {}).get("score", "") if r else "",
                     short(min(gradients)) if gradients else "",
                     short(layers["encoder"]["branch_ratio"][-1]) if layers else ""])
    return markdown(["layers", "kind", "outcome", "validation cross-entropy", "BLEU", "smallest gradient norm of an encoder layer",
                     "branch / residual, encoder"], sorted(rows, key=lambda row: int(row[0].split("+")[0])))


def last_quarter(values):
    values = outcomes.known(values[-max(1, len(values) // 4):])
    return statistics.fmean(values) if values else None


def plain_table(every, study):
    rows = [row(c, r) for c, r in every.values() if c.study == study]
    keep = [0, 6, 7, 9, 13, 14]
    return markdown([HEAD[i] for i in keep], [[r[i] for i in keep] for r in rows])


def all_tables(every, tests):
    """Name: markdown. docs/branchnorm.md and branchnorm_studies.md show them under these names."""
    head, rows = significance_table(tests)
    return {
        "stability": stability_table(every),
        "thousand": plain_table(every, "thousand"),
        "convergence": convergence_table(every),
        "averaged": averaged_table(every, tests),
        "significance": markdown(head, rows) if rows else "not run\n",
        "recipe": outcome_table(every, "recipe"),
        "longer": longer_table(every),
        "languages": languages_table(every),
        "ramp": outcome_table(every, "ramp"),
        "robustness": robustness_table(every),
        "late": late_table(every),
        "full": full_table(every),
        "wide": wide_table(every),
    }


TITLES = {
    "stability": "Stability: outcome and training loss at the end",
    "thousand": "500+500 layers",
    "convergence": "Convergence: mean ± standard deviation over seeds (number of seeds)",
    "averaged": "Averaged weights: validation cross-entropy and BLEU; p by bootstrap and by randomisation",
    "significance": "Paired tests on test_2016_flickr",
    "recipe": "What makes BranchNorm work: 18+18 layers where the name has no 50",
    "longer": "4,000 updates: validation cross-entropy on the way, BLEU at the end",
    "languages": "One model into three languages, 3,600 updates",
    "ramp": "T and schedule of BranchNorm's first recipe, 18+18 layers",
    "robustness": "Learning rate and warmup, 18+18 layers",
    "late": "Late in training, 18+18 layers: means over the last quarter of the run",
    "full": "Until alpha is 1 and beyond, on a GPU: at the end of 2,000 updates",
    "wide": "Widths 256 and 512, 4,000 updates on a GPU, averaged weights: validation cross-entropy on the way",
}


def write_all(every, tests, folder):
    """every: (study, name) -> (cell, result or None). tests: contents of results/significance."""
    for study in cells.STUDIES.values():
        rows = [row(c, r) for c, r in every.values() if c.study == study]
        if rows:
            write(os.path.join(folder, f"{study}.csv"), comma_separated(HEAD, rows))
    write(os.path.join(folder, "significance.csv"), comma_separated(*significance_table(tests)))
    parts = ["# Results\n\nWritten by `experiments/depth/run.sh --figures`. Rules for the outcomes: `outcomes.py`.\n"]
    for name, table in all_tables(every, tests).items():
        parts += [f"## {TITLES[name]}\n", table]
    missing = [f"{c.study}/{c.name}" for c, r in every.values() if r is None and c.study != "trial"]
    parts += [f"## Not run\n\n{len(missing)} cells: " + ", ".join(missing) + "\n"] if missing else []
    write(os.path.join(folder, "tables.md"), "\n".join(parts))


def fill_in(path, every, tests):
    """Puts the tables between the marks <!-- table: NAME --> and <!-- end of table --> of a document."""
    with open(path) as file:
        text = file.read()
    for name, table in all_tables(every, tests).items():
        pattern = re.compile(f"(<!-- table: {name} -->\n).*?(<!-- end of table -->)", re.DOTALL)
        text = pattern.sub(lambda found: found[1] + table + found[2], text)
    write(path, text)
