"""The experiments as one table: every cell is one run of bough-train. Add a row here to add a cell."""
from dataclasses import dataclass

STUDIES = {  # letter: name
    "a": "stability",
    "b": "thousand",
    "c": "convergence",
    "d": "ramp",
    "e": "robustness",
    "f": "late",
    "g": "full",
    "h": "recipe",
    "i": "longer",
    "j": "languages",
    "k": "wide",
    "l": "averaged",
}
ON_GPU = ["full", "wide"]  # run when named: they need a GPU
# Rows of the stability study and their options. T of branchnorm: as long as the warmup, unless said.
KINDS = {kind: {"transformer_residual": kind} for kind in ["post-ln", "pre-ln", "deepnorm", "branchnorm"]}
BASELINES = ["admin", "b2t", "residual-dual", "rezero", "sub-ln", "dlcl"]
KINDS.update({kind: {"transformer_residual": kind} for kind in BASELINES})
for ramp_length in [1000, 10000]:
    KINDS[f"branchnorm-T{ramp_length}"] = {"transformer_residual": "branchnorm", "branchnorm_max_step": f"{ramp_length}u"}
KINDS["branchnorm-deepnorm-init"] = {"transformer_residual": "branchnorm", "branchnorm_init": "deepnorm"}
# The kinds above are the first recipe: Glorot's weights unless said, a linear ramp as long as the warmup.
FIRST_RECIPE = {"branchnorm_schedule": "linear", "branchnorm_init": "xavier"}
# Those below say all of theirs. bounded: the defaults. short, no-ramp: small weights, a ramp of an eighth of the warmup
# (400 updates), and the control without one.
SMALL_WEIGHTS = {"transformer_residual": "branchnorm", "branchnorm_init": "deepnorm"}
RECIPES = {
    "branchnorm-bounded": {**SMALL_WEIGHTS, "branchnorm_schedule": "bounded"},
    "branchnorm-short": {**SMALL_WEIGHTS, "branchnorm_schedule": "linear", "branchnorm_max_step": "50u"},
    "branchnorm-no-ramp": {**SMALL_WEIGHTS, "branchnorm_schedule": "linear", "branchnorm_max_step": "1u"},
}
LANGUAGES = ["de", "fr", "cs"]  # into which the form `languages` translates
DEPTHS = [6, 18, 50, 100, 200, 500]
RAMPS = [30, 100, 300, 1000, 3000]
RATES = [0.001, 0.002, 0.004, 0.008]
WARMUPS = [20, 60, 200]

# Seconds of one idle core (Zen 4, 2.6 GHz) for 1,000 target tokens: a part for the vocabulary and a part
# for each encoder-decoder pair of layers. Measured with short runs; a cell of a narrow model costs as much as its kernels' calls.
SECONDS = {16: (0.006, 0.004), 32: (0.008, 0.004), 64: (0.024, 0.0092)}
GPU_SECONDS = {256: (0.0006, 0.0004), 512: (0.001, 0.0008)}  # the same of an H200 for an update of 4,096 target tokens


def tag(language):
    """What stands before a source sentence that is to be translated into the language."""
    return f"<2{language}>"


@dataclass(frozen=True)
class Cell:
    study: str
    name: str
    kind: str  # of KINDS: the residual and what belongs to it
    depth: int  # encoder layers = decoder layers
    seed: int
    rank: float  # cells of rank 1 run first
    options: dict  # of bough-train, beside config.yml
    form: str = "tok"  # of the text: tok = lower-cased and tokenised, cased = raw, languages = tok into three languages
    translates: bool = False  # BLEU of test_2016_flickr at the end

    @property
    def residual(self):
        return self.options["transformer-residual"]

    @property
    def smoothing(self):
        return self.options.get("exponential-smoothing", 0)

    @property
    def updates(self):
        return int(self.options["after"].rstrip("u"))

    @property
    def on_gpu(self):
        return self.study in ON_GPU

    def seconds(self):
        """Estimated seconds of one idle core, or of a GPU."""
        if self.on_gpu:
            base, layer = GPU_SECONDS[self.options["dim-emb"]]
            return 10 + (base + layer * self.depth) * self.updates
        base, layer = SECONDS[self.options["dim-emb"]]
        per_thousand = base + layer * self.depth
        seconds = 2 + per_thousand * self.updates * self.options["mini-batch-words"] / 1000
        if "valid-freq" in self.options:  # 1,014 pairs forward: as 6,000 tokens of training
            seconds += per_thousand * 6 * (self.updates // int(self.options["valid-freq"].rstrip("u")))
        return seconds + (5 + 1.0 * self.depth if self.translates else 0)


def cell(study, name, kind, depth, rank, width, *, seed=1, form="tok", translates=False, **more):
    settings = {**(RECIPES.get(kind) or KINDS[kind]), **more}
    if settings["transformer_residual"] == "branchnorm":
        warmup = settings["lr_warmup"]
        bounded = settings.get("branchnorm_schedule") == "bounded"  # as the default is
        steps = f"{int(warmup.rstrip('u')) * depth // 2}u" if bounded else warmup
        settings = {**FIRST_RECIPE, "branchnorm_max_step": steps, **settings}
    options = {
        "enc-depth": depth,
        "dec-depth": depth,
        "dim-emb": width,
        "transformer-dim-ffn": 2 * width,
        "transformer-heads": width // 16,
        "seed": seed,
        **{key.replace("_", "-"): value for key, value in settings.items()},
    }
    return Cell(study, name, kind, depth, seed, rank, options, form, translates)


EARLY = dict(mini_batch_words=250, lr_warmup="100u", disp_freq="1u", gradient_norm_average_window=1,
             log_layer_norms="20u")


def stability():
    """First updates, without dropout and smoothing: what the residual alone does. Loss in plain nats."""
    for depth in DEPTHS:
        for kind in [*KINDS, "branchnorm-bounded"]:
            rank = 1.2 if kind in BASELINES else 1 if kind in KINDS else 0.05
            yield cell("stability", f"{kind}-{depth}", kind, depth, rank, 32, **EARLY, after="200u", learn_rate=0.003)


def thousand():
    """500+500 layers for longer, with a lower rate, every update logged: is there a spike?"""
    options = dict(**EARLY, after="400u", learn_rate=0.0005)
    for kind in ["deepnorm", "branchnorm-T10000", "branchnorm-T1000", "post-ln", "branchnorm"]:
        yield cell("thousand", kind, kind, 500, 0.9, 32, **options)
    yield cell("thousand", "branchnorm-bounded", "branchnorm-bounded", 500, 0.06, 32, **options)
    kind = "branchnorm-T10000"
    yield cell("thousand", f"{kind}-deepnorm-init", kind, 500, 0.9, 32, **options, branchnorm_init="deepnorm")


LONG = dict(after="1200u", mini_batch_words=1000, learn_rate=0.002, lr_warmup="400u", lr_decay_inv_sqrt="400u",
            transformer_dropout=0.1, label_smoothing=0.1, disp_freq="10u", gradient_norm_average_window=10,
            valid_freq="200u", log_layer_norms="100u", log_model_update="true")


def convergence():
    """Multi30k to equal numbers of updates."""
    first_kinds = ["post-ln", "branchnorm", "branchnorm-T1000", "branchnorm-deepnorm-init"]
    for seed in [1, 2, 3]:
        for depth in [6, 18, 50] if seed < 3 else [6, 18]:
            # What the first recipe did is settled: no further seeds at 50 layers, none of the cased text.
            kinds = ["deepnorm", *(first_kinds if seed == 1 or seed == 2 and depth < 50 else [])]
            for kind in kinds:
                if (kind, depth) != ("branchnorm-deepnorm-init", 50):
                    yield cell("convergence", f"tok-{kind}-{depth}-seed{seed}", kind, depth, 1 if seed == 1 else 0.45, 64,
                               seed=seed, translates=True, **LONG)
    for depth in [6, 18]:
        for kind in ["branchnorm-bounded", "deepnorm", *first_kinds[:3]]:
            yield cell("convergence", f"cased-{kind}-{depth}-seed1", kind, depth, 0.55, 64, form="cased", translates=True,
                       **LONG)
    for seed in [4, 5]:  # BLEU of single runs differs by a point from seed to seed
        for kind in ["branchnorm-bounded", "deepnorm"]:
            yield cell("convergence", f"tok-{kind}-18-seed{seed}", kind, 18, 0.09, 64, seed=seed, translates=True, **LONG)
    for kind in ["branchnorm-bounded", "deepnorm", "branchnorm-no-ramp"]:
        rank = 0.85 if kind == "branchnorm-no-ramp" else 0.07
        yield cell("convergence", f"tok-{kind}-100-seed1", kind, 100, rank, 64, translates=True, **LONG)
    for seed in [1, 2, 3]:
        for depth in [18, 6, 50]:
            # What a ramp of 50 updates does is settled by one seed.
            kinds = [kind for kind in [*RECIPES, "pre-ln", "admin"] if seed == 1 or kind != "branchnorm-short"]
            for kind in kinds if seed < 3 or depth < 50 else []:
                # First what the defaults are judged by, then what the short cells of others say.
                rank = 0.1 * seed + 0.3 * (depth == 50) + (0 if kind == "branchnorm-bounded" else 0.5)
                yield cell("convergence", f"tok-{kind}-{depth}-seed{seed}", kind, depth, rank, 64, seed=seed,
                           translates=True, **LONG)


def averaged():
    """What the defaults are judged by: as `convergence`, with the mean of the last hundred updates or so in place of the
    last one. BLEU of single updates differs by a point, and a paired test of two translations knows nothing of that."""
    def rows(kinds, depth, seeds, rank):
        for seed in seeds:
            for kind in kinds:
                yield cell("averaged", f"averaged-{kind}-{depth}-seed{seed}", kind, depth, rank + 0.001 * seed, 64, seed=seed,
                           translates=True, **LONG, exponential_smoothing=0.01)

    judged, control = ["branchnorm-bounded", "deepnorm"], ["branchnorm-no-ramp"]
    yield from rows(judged, 18, [1, 2, 3], 0.11)
    yield from rows(judged, 50, [1, 2], 0.12)
    yield from rows(control, 18, [1, 2, 3], 0.13)
    yield from rows(judged + control, 6, [1, 2, 3], 0.14)
    yield from rows(control, 50, [1, 2], 0.15)
    yield from rows(judged, 100, [1], 0.16)


SHORT = {**LONG, "after": "600u", "lr_warmup": "100u", "lr_decay_inv_sqrt": "100u", "valid_freq": "100u"}


def ramp():
    """How long alpha should grow, and where: 18 layers."""
    for kind in ["post-ln", "deepnorm"]:
        yield cell("ramp", kind, kind, 18, 1, 64, **SHORT)
    for steps in RAMPS:
        for schedule in ["linear", "by-layer"]:
            yield cell("ramp", f"{schedule}-{steps}", "branchnorm", 18, 1 if schedule == "linear" else 1.1, 64, **SHORT,
                       branchnorm_max_step=f"{steps}u", branchnorm_schedule=schedule)
    for steps in [100, 1000]:
        yield cell("ramp", f"deepnorm-init-{steps}", "branchnorm", 18, 1.1, 64, **SHORT,
                   branchnorm_max_step=f"{steps}u", branchnorm_init="deepnorm")


def recipe():
    """What makes branchnorm work: initial weights, the ramp's length and form, bounds. T = 1 with small weights is the
    control that says what a ramp adds (at 50+50 layers: branchnorm-short and branchnorm-no-ramp of `convergence`)."""
    def one(name, depth=18, rank=0.6, **more):
        return cell("recipe", name, "branchnorm", depth, rank, 64, **LONG, **more)

    small = dict(branchnorm_init="deepnorm")
    bounded = dict(**small, branchnorm_schedule="bounded")
    for steps in [50, 400]:
        yield one(f"xavier-linear-T{steps}", branchnorm_init="xavier", branchnorm_max_step=f"{steps}u")
    for steps in [1, 12, 50, 100, 200, 400, 1000]:
        yield one(f"deepnorm-linear-T{steps}", **small, branchnorm_max_step=f"{steps}u")
    for schedule in ["by-layer", "square"]:
        for steps in [1, 12, 50]:
            yield one(f"deepnorm-{schedule}-T{steps}", **small, branchnorm_schedule=schedule,
                      branchnorm_max_step=f"{steps}u")
    for bound in [0.03, 0.05, 0.1, 0.2]:
        yield one(f"bounded-{bound}", **bounded, branchnorm_bound=bound)
    # How much T (3,600 updates by default) and the bound (0.18 to 0.24) matter: three orders of magnitude.
    for steps in [36, 360, 36000]:
        yield one(f"bounded-T{steps}", rank=0.65, **bounded, branchnorm_max_step=f"{steps}u")
    for bound in [0.003, 0.01, 1]:
        yield one(f"bounded-{bound}", rank=0.65, **bounded, branchnorm_bound=bound)
    for bound in [0.02, 0.2]:
        yield one(f"50-bounded-{bound}", depth=50, rank=0.9, **bounded, branchnorm_bound=bound)
    yield one("50-deepnorm-by-layer-T12", depth=50, rank=0.9, **small, branchnorm_schedule="by-layer",
              branchnorm_max_step="12u")


def longer():
    """Until DeepNorm's constants would show, should they leave a model undertrained; three times the updates."""
    options = {**LONG, "after": "4000u", "valid_freq": "500u"}
    for depth in [6, 18]:
        for kind in ["branchnorm-bounded", "deepnorm", "branchnorm-no-ramp"]:
            rank = 0.66 if kind == "branchnorm-no-ramp" else 0.3
            yield cell("longer", f"longer-{kind}-{depth}", kind, depth, rank, 64, translates=True, **options)
    for kind in ["branchnorm-bounded", "deepnorm"]:  # BLEU of the first ones and their cross-entropy disagree
        yield cell("longer", f"longer-{kind}-18-seed2", kind, 18, 0.42, 64, seed=2, translates=True, **options)
    # Is that the last update's chance? The mean over the last 500 updates or so in place of it.
    for seed in [1, 2, 3]:
        for kind in ["branchnorm-bounded", "deepnorm"]:
            yield cell("longer", f"longer-{kind}-18-smoothed-seed{seed}", kind, 18, 0.3 + 0.2 * seed, 64, seed=seed,
                       translates=True, **options, exponential_smoothing=0.002)
    for kind in ["branchnorm-bounded", "deepnorm"]:
        yield cell("longer", f"longer-{kind}-50-smoothed-seed1", kind, 50, 0.165, 64, translates=True, **options,
                   exponential_smoothing=0.002)


def languages():
    """English into German, French and Czech in one model, a tag before each sentence; each language as often as German
    in `convergence`."""
    options = {**LONG, "after": "3600u", "valid_freq": "600u", "sentencepiece_options": (
        "--normalization_rule_name=identity --character_coverage=1.0 --user_defined_symbols=" +
        ",".join(tag(language) for language in LANGUAGES))}
    for depth in [6, 18]:
        for kind in ["branchnorm-bounded", "deepnorm"]:
            yield cell("languages", f"languages-{kind}-{depth}", kind, depth, 0.4, 64, form="languages", translates=True,
                       **options)


def robustness():
    """Learning rate times warmup, 18 layers: how many runs survive?"""
    for kind in ["branchnorm-T1000", "deepnorm", "branchnorm-bounded"]:
        rank = 0.08 if kind == "branchnorm-bounded" else 2.3
        for rate in RATES:
            for warmup in WARMUPS:
                more = {**LONG, "after": "400u", "mini_batch_words": 500, "learn_rate": rate,
                        "lr_warmup": f"{warmup}u", "lr_decay_inv_sqrt": f"{warmup}u", "valid_freq": "100u"}
                yield cell("robustness", f"{kind}-lr{rate:g}-warmup{warmup}", kind, 18, rank, 64, **more)


FULL = dict(devices=0, cpu_threads=0, precision=["bfloat16", "float32"], transformer_dim_ffn=1024, transformer_heads=4,
            after="2000u", mini_batch_words=4096, learn_rate=0.0007, lr_warmup="500u", lr_decay_inv_sqrt="500u",
            transformer_dropout=0.2, label_smoothing=0.1, disp_freq="20u", gradient_norm_average_window=20, valid_freq="200u",
            valid_mini_batch=256, log_layer_norms="200u", log_model_update="true")


def full():
    """Multi30k until alpha has been 1 for half of the run."""
    for rank, kind in enumerate(["branchnorm-T1000", "deepnorm", "pre-ln", "branchnorm-deepnorm-init", "branchnorm", "post-ln"]):
        for depth in [6, 18, 50]:
            yield cell("full", f"{kind}-{depth}", kind, depth, 10 + rank, 256, translates=True, **FULL)


def wide():
    """Today's default at length, on a GPU: Multi30k to 4,000 updates at widths that people train, averaged weights. Each
    cell takes minutes, the most telling first."""
    def rows(kinds, width, depth, rank):
        options = {**FULL, "transformer_dim_ffn": 4 * width, "transformer_heads": width // 64, "after": "4000u",
                   "valid_freq": "500u", "exponential_smoothing": 0.002}
        for kind in kinds:
            yield cell("wide", f"{kind}-{width}-{depth}", kind, depth, rank, width, translates=True, **options)

    judged, controls = ["branchnorm-bounded", "deepnorm"], ["branchnorm-no-ramp", "pre-ln"]
    for rank, (width, depth) in enumerate([(256, 50), (256, 18), (512, 50), (512, 18)]):
        yield from rows(judged, width, depth, 20 + rank)
        yield from rows(controls, width, depth, 30 + rank)
    yield from rows(judged, 256, 100, 29)


def trial():
    """Seconds: does everything work here? Not part of the results."""
    yield cell("trial", "small", "branchnorm", 2, 9, 16, after="300u", mini_batch_words=250, learn_rate=0.003,
               lr_warmup="50u", disp_freq="5u", gradient_norm_average_window=5, valid_freq="100u", translates=True,
               save_freq="20u", transformer_heads=2, log_layer_norms="100u", log_model_update="true")


def all_cells():
    """In the order in which they run."""
    cells = [*stability(), *thousand(), *convergence(), *averaged(), *ramp(), *recipe(), *longer(),
             *languages(), *robustness(), *full(), *wide(), *trial()]
    return sorted(cells, key=lambda c: c.rank)  # stable: the order above within a rank


def cells_of(study):
    """The cells that a study's figures need; `late` looks again at runs of `convergence`."""
    if study == "late":
        return [c for c in all_cells() if c.study == "convergence" and c.depth == 18 and c.form == "tok"
                and c.kind != "post-ln"]
    return [c for c in all_cells() if c.study == study]


def comparisons():
    """Pairs (baseline, system) whose translations are tested against each other."""
    def shared(c):
        return c.study, c.depth, c.form, c.seed, c.smoothing, c.options["dim-emb"]

    cells = [c for c in all_cells() if c.translates and c.study != "trial"]
    for first in cells:
        for second in cells:
            tested = second.kind.startswith("branchnorm") and first.kind in ("deepnorm", "post-ln")
            if tested and shared(first) == shared(second):
                yield first, second
