"""The parts about speed: kernels, train, decode. Each returns a dict for the report; `rows` make its table."""
import json
import os
import statistics

import corpus
from failures import Failed, Skipped
from machine import last_words

# width, inner width, heads, encoder and decoder layers
MODELS = {"base": (512, 2048, 8, 6, 6), "big": (1024, 4096, 16, 6, 6), "18+18": (512, 2048, 8, 18, 18),
          "100+100": (512, 2048, 8, 100, 100)}
TOKENS = [4224, 8448, 33792]
PEER_NAMES = ["eager", "compiled", "packed"]
BATCHES = [1, 32, 128]
VOCABULARY, LONGEST = 32000, 100
TOY = {"model": (32, 64, 2, 1, 1), "tokens": 64, "vocabulary": 128, "longest": 16, "updates": 3, "pairs": 120}


# ---- kernels

def probe(run):
    """Copy bandwidth and rate of a large product, now."""
    flags = ["--toy"] if run.is_emulated else []
    output = run.machine.check_run([run.machine.program("kernel-speed"), "probe", "--device", str(run.machine.device), *flags], run.left())
    return json.loads(output.strip().splitlines()[-1])


def ceilings(run, work):
    """work(), between two probes: (what it returns, the mean of both)."""
    before = probe(run)
    result = work()
    after = probe(run)
    keys = ("copy_bytes_per_second", "gemm_flops_per_second")
    return result, {"before": before, "after": after, **{k: (before[k] + after[k]) / 2 for k in keys}}


def run_rows(run, names, rows):
    """Adds a dict for every row of the kernels `names`. A kernel that fails ends its process: the next one goes on
    with the kernels behind it. Returns (sentences about failures, whether time ran out)."""
    flags = ["--toy"] if run.is_emulated else []
    failures = []
    while names:
        seen = len(rows)
        try:
            code, output = run.machine.run(
                [run.machine.program("kernel-speed"), "run", "--device", str(run.machine.device), *flags, *names], run.left(keep=10),
                on_line=lambda line: rows.append(json.loads(line)) if line.startswith("{") else None)
        except Skipped:  # what is there is worth its second probe
            return failures, True
        if code == 0:
            break
        # Rows come in the order of the list; the failed one is of the last kernel reported, or of the one behind it.
        last = rows[-1]["kernel"] if len(rows) > seen else None
        at = names.index(last) + 1 if last else 0
        if last and sum(r["kernel"] == last for r in rows) < sum(line.split(" / ")[0] == last for line in row_names(run)):
            at -= 1
        failures.append(f"{names[at]}: {last_words(output)}")
        names = names[at + 1:]
    return failures, False


def row_names(run):
    return run.machine.check_run([run.machine.program("kernel-speed"), "list"], 20).strip().splitlines()


def kernels(run, names):
    """Every kernel of core/kernels.def on data that is not in the L2, against the time that its bytes and operations
    take at the rates measured in the same call."""
    rows = []
    due = [line for line in row_names(run) if not names or line.split(" / ")[0] in names]
    unknown = set(names) - {line.split(" / ")[0] for line in due}
    if unknown:
        raise Failed(f"'{min(unknown)}' is no kernel of core/kernels.def")
    wanted = list(dict.fromkeys(line.split(" / ")[0] for line in due))
    (failures, is_cut), rates = ceilings(run, lambda: run_rows(run, wanted, rows))
    for row in rows:
        bytes_time = row["bytes"] / rates["copy_bytes_per_second"]
        flops_time = row["flops"] / rates["gemm_flops_per_second"]
        floor = max(bytes_time, flops_time)
        row.update(floor_seconds=floor, bound="memory" if bytes_time >= flops_time else "arithmetic",
                   percent_of_floor=round(100 * floor / row["seconds"], 1))
    report = {"rows": rows, "ceilings": rates, "cut_short": is_cut}
    if failures:
        raise Failed("; ".join(failures), report)
    if not rows:
        raise Skipped("time")
    memory = [r["percent_of_floor"] for r in rows if r["bound"] == "memory"]
    report["result"] = f"{len(rows)} of {len(due)} rows" + (f", memory-bound ones at {statistics.median(memory):.0f} % of the copy (median)" if memory else "")
    if is_cut:
        report["result"] += ", the others skipped: time"
    elif len(rows) != len(due):
        raise Failed(f"{len(rows)} of {len(due)} rows were measured", report)
    return report


# ---- training

def model_options(run, shape, dropout="0.1"):
    d, ffn, heads, encoder, decoder = shape
    return ["--dim-emb", str(d), "--transformer-dim-ffn", str(ffn), "--transformer-heads", str(heads), "--enc-depth", str(encoder),
            "--dec-depth", str(decoder), "--tied-embeddings-all", "--transformer-ffn-activation", "relu",
            "--transformer-postprocess", "dan", "--transformer-dropout", dropout]


def speed_options(run, shape, tokens, updates, machine=None):
    """bough-train-speed's options, on `machine`; the corpus holds enough pairs for `updates` different updates."""
    vocabulary, longest = (TOY["vocabulary"], TOY["longest"]) if run.is_emulated else (VOCABULARY, LONGEST)
    pairs = TOY["pairs"] if run.is_emulated else int(updates * tokens / 25)
    folder = f"{run.folder('speed')}/corpus-{pairs}"
    if not os.path.exists(f"{folder}/vocab.yml"):
        corpus.write(folder, pairs, vocabulary, longest)
    return [*model_options(run, shape), "--train-sets", f"{folder}/train.src", f"{folder}/train.trg",
            "--vocabs", f"{folder}/vocab.yml", f"{folder}/vocab.yml", "--tempdir", folder, "--max-length", str(longest),
            "--mini-batch-words", str(tokens), "--label-smoothing", "0.1", "--learn-rate", "1e-4", "--clip-norm", "1",
            "--optimizer-params", "0.9", "0.98", "1e-9", "--seed", "1", "--after", f"{updates}u", "--gemm-autotune", *(machine or run.machine.gpu())], folder


def cell_spec(run, name, tokens, peers):
    shape, updates = MODELS[name], 64
    if run.is_emulated:
        shape, updates = TOY["model"], TOY["updates"]
    options, _ = speed_options(run, shape, tokens, updates)
    d, ffn, heads, encoder, decoder = shape
    is_gpu = not run.is_emulated
    return {"program": run.machine.program("train-speed"), "work": run.folder("speed"), "options": options,
            "library_path": run.machine.env.get("LD_LIBRARY_PATH", ""), "peers": peers, "device": "cuda" if is_gpu else "cpu",
            "model": {"d": d, "ffn": ffn, "heads": heads, "encoder": encoder, "decoder": decoder, "dropout": 0.1},
            "clip": 1.0, "mode": run.options.compile_mode, "loss_bound": 2e-3, "warm_up": 20 if is_gpu else 1,
            "block_seconds": 0.25 if is_gpu else 0, "rounds": 10 if is_gpu else 1,
            "equal_updates": (50 if is_gpu else 2) if name == "base" else 0}


def train_cell(run, name, tokens, peers, number, count):
    spec = cell_spec(run, name, tokens, peers)
    # Cells share what is left of the part's time evenly; measuring leaves a third for starting and comparing.
    share = run.left(keep=5) / (count - number)
    if not run.is_emulated and share < 15:
        raise Skipped("time")
    spec["seconds"] = share * 0.6
    base = f"{run.folder('speed')}/cell-{name}-{tokens}"
    with open(base + ".json", "w") as file:
        json.dump(spec, file)
    result_path = base + "-result.json"
    here = os.path.dirname(os.path.abspath(__file__))
    try:
        run.machine.check_run([run.machine.python, f"{here}/train_cell.py", base + ".json", result_path], share, env=dict(os.environ))
        cut_short = False
    except Skipped:
        if not os.path.exists(result_path):
            raise
        cut_short = True
    with open(result_path) as file:
        result = json.load(file)
    os.remove(result_path)
    if cut_short:
        result["cut_short"] = True
        for name_ in peers:
            result["peers"].setdefault(name_, {"skipped": "time"})
    return result


def train(run, models, tokens, peers):
    """bough beside PyTorch on the same parameters and batches, in turn."""
    lacks_torch = bool(peers) and not run.machine.has_torch()
    if lacks_torch:
        peers = []
    cells = [(m, t) for m in models for t in tokens]
    rows, failures = [], []

    def measure():
        for number, (model, t) in enumerate(cells):
            row = {"model": model, "tokens": t}
            try:
                row.update(train_cell(run, model, t, peers, number, len(cells)))
            except Skipped as skipped:
                row["skipped"] = str(skipped)
            except Failed as failed:
                row["failed"] = str(failed)
            rows.append(row)
            failures.extend(faults(row))

    _, rates = ceilings(run, measure)
    for row in rows:
        if "tflop_per_second" in row.get("bough", {}):
            row["bough"]["percent_of_gemm"] = round(100 * row["bough"]["tflop_per_second"] * 1e12 / rates["gemm_flops_per_second"], 1)
    done = [r for r in rows if "ms_per_update" in r.get("bough", {})]
    report = {"rows": rows, "ceilings": rates, "peers": peers, "result": f"{len(done)} of {len(rows)} cells{', without peers: no PyTorch here' if lacks_torch else ''}"}
    if failures:
        raise Failed("; ".join(failures), report)
    if not done:
        raise Skipped("time")
    return report


EQUALITY_BOUNDS = {"first": 2e-3, "most": 1e-2}


def faults(row):
    """What a cell shows to be wrong, in sentences. A peer that PyTorch cannot run is no fault of ours but is said."""
    where = f"{row['model']} T = {row['tokens']}"
    found = [f"{where}: {row['failed']}"] if "failed" in row else []
    found += [f"{where}, {name}: {peer['failed']}" for name, peer in row.get("peers", {}).items()
              if peer.get("failed", "out of memory") != "out of memory"]
    equality = row.get("equality", {})
    found += [f"{where}: losses of bough and PyTorch differ by {equality[key]:.1e} ({key}), must be {bound:.0e}"
              for key, bound in EQUALITY_BOUNDS.items() if equality and not equality[key] <= bound]
    return found


# ---- decoding

def decode(run, batches):
    """bough-translate's search on base, beam 4, every hypothesis as long as 1.1 times its source."""
    shape = TOY["model"] if run.is_emulated else MODELS["base"]
    options, folder = speed_options(run, shape, TOY["tokens"] if run.is_emulated else 4224, TOY["updates"] if run.is_emulated else 2)
    work = run.folder("speed")
    model = f"{work}/decode.npz"
    run.machine.check_run([run.machine.program("train-speed"), f"{work}/unused.txt", "--model", model, *options], run.left())
    rows = []
    for batch in batches:
        sentences = 4 if run.is_emulated else 16 if batch == 1 else 8 * batch
        text = f"{work}/decode-{batch}.src"
        with open(f"{folder}/train.src") as source, open(text, "w") as file:
            file.writelines(line for _, line in zip(range(sentences), source))
        repeats = 1 if run.is_emulated else 5
        output = run.machine.check_run(
            [run.machine.program("decode-speed"), str(repeats), "--models", model, "--vocabs", f"{folder}/vocab.yml",
             f"{folder}/vocab.yml", "--input", text, "--beam-size", "4", "--mini-batch", str(batch), "--maxi-batch", "1000",
             "--maxi-batch-sort", "src", "--max-length-factor", "1.1", *run.machine.gpu()], run.left())
        row = json.loads(output.strip().splitlines()[-1])
        seconds = statistics.median(row["seconds"])
        row.update(batch=batch, beam=4, target_tokens_per_second=round(row["target_tokens"] / seconds, 1),
                   ms_per_sentence=round(1e3 * seconds / row["sentences"], 3))
        rows.append(row)
    return {"rows": rows, "result": ", ".join(f"batch {r['batch']}: {r['target_tokens_per_second']:,.0f} tok/s" for r in rows)}
