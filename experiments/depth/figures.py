"""The figures, from whatever results there are; a study without any gets none."""
import os

import cells
import outcomes
import svg
from svg import Line, Panel

NONE = "#F2F2F2"
OUTCOME_COLOURS = {"trained": "#56B4E9", "falling": "#BFE0F5", "stuck": "#F0E442", "diverged": "#D55E00"}
OUTCOME_MARKS = {"trained": "", "falling": "> ", "stuck": "~ ", "diverged": "x "}
OUTCOME_KEY = [*((colour, OUTCOME_MARKS[name] + name) for name, colour in OUTCOME_COLOURS.items()), (NONE, "not run")]
OUTCOME_NOTE = (f"trained: {outcomes.STUCK_LEVEL} nats or less (token frequencies alone: {outcomes.FREQUENCIES}); falling: more, "
                "but still learning; stuck: neither.")
KIND_STYLES = {"post-ln": 7, "deepnorm": 1, "branchnorm": 0, "branchnorm-T1000": 4, "branchnorm-T10000": 2,
               "pre-ln": 3, "branchnorm-deepnorm-init": 5, "branchnorm-bounded": 6, "branchnorm-short": 8,
               "branchnorm-no-ramp": 9, "admin": 10}
LOSS = "nats per target token"


def of_study(every, study):
    return [(c, r) for c, r in every.values() if c.study == study and r]


def outcome_cell(result):
    if result is None:
        return NONE, "not run", "#777777"
    outcome = outcomes.outcome(result)
    loss = outcomes.final(result)
    return OUTCOME_COLOURS[outcome], OUTCOME_MARKS[outcome] + ("-" if loss is None else f"{loss:.2f}"), "#000000"


def stability_outcomes(every):
    found = {(c.kind, c.depth): r for c, r in every.values() if c.study == "stability"}
    kinds = list(dict.fromkeys(k for k, _ in found))
    depths = sorted({d for _, d in found})
    options = next(c.options for c, _ in every.values() if c.study == "stability")
    return svg.grid(f"Loss after {options['after'].rstrip('u')} updates by residual and depth",
                    [f"{d}+{d}" for d in depths], kinds,
                    [[outcome_cell(found[k, d]) for d in depths] for k in kinds], OUTCOME_KEY,
                    "encoder + decoder layers",
                    f"Training loss ({LOSS}) of the last tenth. Width {options['dim-emb']}, peak rate "
                    f"{options['learn-rate']}, same data order and seed.\n"
                    f"{OUTCOME_NOTE}")


def by_kind(every, quantity, label, log_y, y_range=None):
    """A panel a kind, a line a depth."""
    panels = []
    depths = sorted({c.depth for c, _ in every.values() if c.study == "stability"})
    for kind in dict.fromkeys(c.kind for c, _ in of_study(every, "stability")):
        lines = [Line(f"{c.depth}+{c.depth} layers", list(zip(r["training"]["update"], quantity(r))),
                      depths.index(c.depth), ordered=True, width=1.8)
                 for c, r in of_study(every, "stability") if c.kind == kind]
        panels.append(Panel(kind, sorted(lines, key=lambda l: l.style), "update", label, log_y=log_y, y_range=y_range))
    return panels


def stability_curves(every):
    losses = [v for _, r in of_study(every, "stability") for v in outcomes.known(r["training"]["loss"])]
    return svg.panels("Training loss over the first updates", by_kind(
        every, lambda r: outcomes.smooth(r["training"]["loss"], 5), LOSS, False, (min(losses), 10.0)), 4, (240, 180),
        "Mean of five updates; values above 10 are drawn at the edge.")


def stability_gradients(every):
    return svg.panels("Gradient norm over the first updates", by_kind(
        every, lambda r: r["training"]["gradient_norm"], "gradient norm per token", True), 4, (240, 180),
        "Global norm of the gradient per target token, before clipping (there is none), each update.")


def thousand(every):
    runs = of_study(every, "thousand")

    def lines(key, window):
        return [Line(c.name, list(zip(r["training"]["update"], outcomes.smooth(r["training"][key], window))),
                     KIND_STYLES[c.kind] + (c.name != c.kind)) for c, r in runs]

    losses = [v for _, r in runs for v in outcomes.known(r["training"]["loss"])]
    low, high = min(losses) - 0.2, min(max(losses), 12.0)
    return svg.panels("500 + 500 layers", [
        Panel("training loss (mean of 5 updates)", lines("loss", 5), "update", LOSS, y_range=(low, high),
              rules=[(outcomes.FREQUENCIES, "token frequencies only")]),
        Panel("gradient norm (every update)", lines("gradient_norm", 1), "update", "gradient norm per token", log_y=True),
    ], 2, (380, 260))


def convergence_curves(every):
    runs = [(c, r) for c, r in of_study(every, "convergence") if c.form == "tok"]
    panels = []
    for depth in sorted({c.depth for c, _ in runs}):
        lines = [Line(c.kind, list(zip(r["validation"]["update"], r["validation"]["cross_entropy"])),
                      KIND_STYLES[c.kind]) for c, r in runs if c.depth == depth]
        panels.append(Panel(f"{depth} + {depth} layers", lines, "update", LOSS,
                            rules=[(outcomes.FREQUENCIES, "token frequencies only")]))
    return svg.panels("Multi30k English-German: validation cross-entropy", panels, 3, (280, 220),
                      "A line a seed.")


def convergence_bleu(every):
    panels = []
    for form, name in [("tok", "lower-cased, tokenised (-tok none)"), ("cased", "cased (-tok 13a)")]:
        runs = [(c, r) for c, r in of_study(every, "convergence") if c.form == form and "bleu" in r]
        depths = sorted({c.depth for c, _ in runs})
        lines = []
        for kind in dict.fromkeys(c.kind for c, _ in runs):
            means = [(d, [r["bleu"]["score"] for c, r in runs if (c.kind, c.depth) == (kind, d)]) for d in depths]
            lines.append(Line(kind, [(d, sum(v) / len(v)) for d, v in means if v], KIND_STYLES[kind], markers=True))
        if lines:
            panels.append(Panel(name, lines, "encoder layers = decoder layers", "BLEU", log_x=True, x_ticks=depths))
    return svg.panels("BLEU of test_2016_flickr after equal updates", panels, 2, (300, 220),
                      "Mean over the seeds that were run.") if panels else None


def by_depth(every):
    """What the project is about, at a glance: every kind after the same updates, by depth."""
    runs = [(c, r) for c, r in of_study(every, "convergence") if c.form == "tok" and "bleu" in r]
    depths = sorted({c.depth for c, _ in runs})

    def lines(value):
        found = []
        for kind in dict.fromkeys(c.kind for c, _ in runs):
            values = [(d, [value(r) for c, r in runs if (c.kind, c.depth) == (kind, d)]) for d in depths]
            found.append(Line(kind, [(d, sum(v) / len(v)) for d, v in values if v], KIND_STYLES[kind], markers=True))
        return found
    label = "encoder layers = decoder layers"
    return svg.panels("Residual kinds by depth, after 1,200 updates on Multi30k", [
        Panel("validation cross-entropy", lines(outcomes.final), label, LOSS, log_x=True, x_ticks=depths,
              y_range=(2.4, 4.2)),
        Panel("BLEU of test_2016_flickr", lines(lambda r: r["bleu"]["score"]), label, "BLEU", log_x=True, x_ticks=depths)],
        2, (360, 240), "Mean over the seeds that were run (tables.md). branchnorm-bounded is today's default. At the upper "
        "edge: stuck.") if runs else None


def ramp(every):
    runs = of_study(every, "ramp")
    lines = []
    for name, start, style in [("linear", "linear-", 0), ("by-layer", "by-layer-", 2),
                               ("linear, DeepNorm's initial weights", "deepnorm-init-", 3)]:
        points = [(int(c.options["branchnorm-max-step"].rstrip("u")), outcomes.final(r)) for c, r in runs
                  if c.name.startswith(start)]
        lines.append(Line(f"branchnorm, {name}", sorted(points), style, markers=True))
    for c, r in runs:  # the kinds without T: a line across
        if c.kind != "branchnorm":
            lines.append(Line(c.kind, [(t, outcomes.final(r)) for t in (cells.RAMPS[0], cells.RAMPS[-1])],
                              KIND_STYLES[c.kind]))
    options = runs[0][0].options
    return svg.panels("How long BranchNorm's alpha should grow", [
        Panel("18 + 18 layers", [line for line in lines if line.points], "T (updates)",
              f"validation, {LOSS}", log_x=True, x_ticks=cells.RAMPS,
              rules=[(outcomes.FREQUENCIES, "token frequencies only")])], 1, (460, 280),
        f"Cross-entropy after {runs[0][0].updates} updates; warmup {options['lr-warmup'].rstrip('u')} updates, peak rate "
        f"{options['learn-rate']}.\nby-layer: layer l reaches 1 after T l updates.")


def robustness(every):
    found = {(c.kind, c.options["learn-rate"], int(c.options["lr-warmup"].rstrip("u"))): r
             for c, r in every.values() if c.study == "robustness"}
    rows = sorted({(k, w) for k, _, w in found})
    rates = sorted({rate for _, rate, _ in found})
    options = next(c.options for c, _ in every.values() if c.study == "robustness")
    return svg.grid("Learning rate and warmup, 18 + 18 layers", [f"{rate:g}" for rate in rates],
                    [f"{k}, warmup {w}" for k, w in rows],
                    [[outcome_cell(found[k, rate, w]) for rate in rates] for k, w in rows], OUTCOME_KEY,
                    "peak learning rate", f"Validation cross-entropy ({LOSS}) after {options['after'].rstrip('u')} updates. "
                    f"branchnorm: T = 1000.\n{OUTCOME_NOTE}")


def layer_gradients(every):
    """Gradient norm against the number of the layer, at the first logged update."""
    panels = []
    runs = [(c, r) for c, r in of_study(every, "stability") if r.get("layers")]
    depths = sorted({c.depth for c, _ in runs})
    for kind in dict.fromkeys(c.kind for c, _ in runs):
        for stack in ["encoder", "decoder"]:
            lines = [Line(f"{c.depth}+{c.depth} layers",
                          [((n - 1) / (c.depth - 1), g) for n, g in zip(r["layers"]["layer"], r["layers"][stack]["gradient"][0])],
                          depths.index(c.depth), ordered=True, width=1.8) for c, r in runs if c.kind == kind]
            panels.append(Panel(f"{kind}, {stack}", sorted(lines, key=lambda l: l.style),
                                "place in the stack (0 first layer, 1 last)", "gradient norm", log_y=True))
    if not panels:
        return None
    first = runs[0][1]["layers"]["update"][0]
    return svg.panels(f"Gradient norm of single layers in update {first}", panels, 4, (240, 180),
                      "Per target token. Up to ten layers of each stack.")


def late(every):
    """Update sizes over a whole run: DeepNorm's constant against alpha = 1."""
    runs = [(c, r) for c, r in of_study(every, "convergence")
            if (c.depth, c.form, c.seed) == (18, "tok", 1) and r.get("layers")]
    if not runs:
        return None

    def lines(values):
        return [Line(c.kind, list(zip(r["layers"]["update"], values(r["layers"]))), KIND_STYLES[c.kind]) for c, r in runs]

    return svg.panels("Late in training, 18 + 18 layers", [
        Panel("change of all parameters", lines(lambda l: l["update_norm"]), "update", "norm of an update", log_y=True),
        Panel("what it does to the output", lines(lambda l: l["model_update"]), "update", "change of the decoder's output",
              log_y=True),
        Panel("encoder: branch against residual", lines(lambda l: l["encoder"]["branch_ratio"]), "update", "ratio of norms"),
        Panel("decoder: branch against residual", lines(lambda l: l["decoder"]["branch_ratio"]), "update", "ratio of norms"),
    ], 4, (240, 180), "Multi30k, seed 1. Output: root mean square over tokens of the change by one update, of vectors whose norm"
        " is about 8. Ratio: scaled branch over scaled residual, mean over the stack's sublayers.")


def full(every):
    """Up to alpha = 1 and beyond: validation, and what explains it."""
    runs = of_study(every, "full")
    panels = []
    for depth in sorted({c.depth for c, _ in runs}):
        lines = [Line(c.kind, list(zip(r["validation"]["update"], r["validation"]["cross_entropy"])), KIND_STYLES[c.kind])
                 for c, r in runs if c.depth == depth]
        panels.append(Panel(f"{depth} + {depth} layers", lines, "update", LOSS, rules=[(outcomes.FREQUENCIES, "token frequencies only")]))
    with_layers = [(c, r) for c, r in runs if c.depth == 18 and r.get("layers")]
    ratios = [Line(c.kind, list(zip(r["layers"]["update"], r["layers"]["encoder"]["branch_ratio"])), KIND_STYLES[c.kind])
              for c, r in with_layers]
    if ratios:
        panels.append(Panel("encoder, 18 + 18: branch against residual", ratios, "update", "ratio of norms"))
    gradients = [Line(c.kind, list(zip(r["layers"]["layer"], r["layers"]["encoder"]["gradient"][-1])), KIND_STYLES[c.kind])
                 for c, r in with_layers]
    if gradients:
        panels.append(Panel("encoder, 18 + 18: gradient norm at the end", gradients, "layer", "gradient norm", log_y=True))
    return svg.panels("Multi30k, width 256: until alpha is 1 and beyond", panels, 3, (280, 220),
                      "Validation cross-entropy in the first panels. alpha of branchnorm-T1000 is 1 from update 1,000 on.")


FIGURES = [("stability", "stability-outcomes", stability_outcomes), ("stability", "stability-loss", stability_curves),
           ("stability", "stability-gradient", stability_gradients), ("stability", "layer-gradient", layer_gradients), ("thousand", "thousand", thousand),
           ("convergence", "depth", by_depth), ("convergence", "convergence-validation", convergence_curves),
           ("convergence", "convergence-bleu", convergence_bleu), ("ramp", "ramp", ramp),
           ("robustness", "robustness", robustness), ("convergence", "late", late),
           ("full", "full", full)]


def write_all(every, folder):
    os.makedirs(folder, exist_ok=True)
    for study, name, draw in FIGURES:
        picture = draw(every) if of_study(every, study) else None
        if picture:
            with open(os.path.join(folder, name + ".svg"), "w") as file:
                file.write(picture)
