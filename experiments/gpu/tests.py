"""The parts about correctness: ops, memcheck, racecheck, losses, determinism. Each returns a dict for the report,
whose `result` is the short form for the table."""
import json
import os
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor

from failures import Failed, Skipped


def verdict(code, output):
    """What Catch2 says of its tests; one may pass without counting an assertion."""
    counts = re.search(r"\((\d+) assertions? in (\d+) test cases?\)", output)
    count = int(counts[1]) if counts else 0
    if code == 0 and (counts or re.search(r"^assertions: - none -$", output, re.M)):
        return {"assertions": count, "result": f"{count:,} assertions hold"}
    summary = re.search(r"^assertions?: .*$|No test.*$", output, re.M)
    where = re.search(r"^\S*:\d+: FAILED:.*$", output, re.M)
    raise Failed(" ".join(x[0].strip() for x in (summary, where) if x) or f"bough-test ended with {code}; see the log")


def run_tests(run, command):
    return verdict(*run.machine.run(command, run.left()))


def test_names(run, tags):
    """Names of test cases, one a line; the option is Catch2's of version 2, then 3."""
    for option in (["--list-test-names-only"], ["--list-tests", "--verbosity", "quiet"]):
        _, output = run.machine.run([run.machine.program("test"), *option, tags], run.left())
        names = [line for line in output.splitlines() if line and not line.startswith(" ")]
        if names and "Error" not in output and "Unrecognised" not in output:
            return names
    raise Failed(f"bough-test does not list the tests {tags}")


def ops(run):
    """The op table on the real backend. Its checks make a backend for every case, which is mostly waiting: they run side
    by side."""
    names = test_names(run, "[ops],[gpu]")
    if run.is_emulated and not run.options.full:  # the whole table is a test of its own
        names = [name for name in names if name in ("every kernel has a row", "the op table runs on a GPU")]
    escaped = [re.sub(r"([\\,\[\]*])", r"\\\1", name) for name in names]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        runs = [pool.submit(run_tests, run, [run.machine.program("test"), name]) for name in escaped]
    # One that failed says more than one that was late.
    errors = sorted((r.exception() for r in runs if r.exception()), key=lambda e: isinstance(e, Skipped))
    if errors:
        raise errors[0]
    results = [r.result() for r in runs]
    count = sum(r["assertions"] for r in results)
    return {"assertions": count, "test_cases": len(results), "result": f"{count:,} assertions hold in {len(results)} checks"}


def sanitize(run, tool):
    """Every row of the op table once, forward and backward, at its smallest shape; with --full all of the table."""
    machine = run.machine
    command = [machine.program("test"), "[ops]" if run.options.full else "every kernel has a row"]
    path = machine.sanitizer()
    if path is None:
        if not run.is_emulated:
            raise Skipped("compute-sanitizer is not on the PATH, nor in a CUDA toolkit")
        return {**run_tests(run, command), "tool": "the emulator's own checks"}
    options = ["--tool", tool, "--error-exitcode", "99"]
    if tool == "racecheck":
        options += ["--racecheck-report", "all"]
    code, output = machine.run([path, *options, *command], run.left())
    found = re.search(r"(?:ERROR|RACECHECK) SUMMARY: (.*)", output)
    if "not supported" in output and not found:
        raise Skipped("compute-sanitizer does not support this machine")
    if code != 0 or found is None or not re.match(r"0 (errors|hazards)", found[1]):
        first = re.search(r"^========= +((?:Invalid|Uninitialized|Error|Warning|Program hit|Race).*)$", output, re.M)
        raise Failed(": ".join(x[1].strip() for x in (found, first) if x) or f"compute-sanitizer ended with {code}; see the log")
    return {"tool": path, "summary": found[1].strip(), "result": found[1].strip()}


def memcheck(run):
    return sanitize(run, "memcheck")


def racecheck(run):
    return sanitize(run, "racecheck")


# ---- training a small model on generated sentences

SMALL = ["--transformer-residual", "branchnorm", "--branchnorm-max-step", "20u", "--tied-embeddings-all",
         "--transformer-ffn-activation", "relu", "--transformer-dropout", "0.1", "--transformer-dropout-attention", "0.1",
         "--label-smoothing", "0.1", "--clip-norm", "1", "--learn-rate", "0.001", "--optimizer-params", "0.9", "0.98", "1e-9",
         "--seed", "1", "--disp-freq", "1u", "--save-freq", "1000u", "--overwrite",
         "--sentencepiece-options=--character_coverage=1.0"]


def small_training(run, name, machine_options, updates, parts=(1, 1)):
    """Trains a model called `name`; returns the mean loss of every update. Its micro-batches are shared by parts[0] GPUs,
    and parts[1] of each are an update."""
    folder, corpus = run.folder("small"), run.small_corpus()
    words = [str(parts[0] * (96 if run.is_emulated else 2048)), "--optimizer-delay", str(parts[1])]
    size = (["--dim-emb", "32", "--transformer-dim-ffn", "64", "--transformer-heads", "2", "--enc-depth", "1", "--dec-depth", "1",
             "--mini-batch-words", *words, "--dim-vocabs", "120", "120", "--max-length", "60"] if run.is_emulated else
            ["--dim-emb", "256", "--transformer-dim-ffn", "512", "--transformer-heads", "4", "--enc-depth", "2", "--dec-depth", "2",
             "--mini-batch-words", *words, "--dim-vocabs", "1000", "1000", "--max-length", "100"])
    metrics = f"{folder}/{name}.npz.metrics.jsonl"
    if os.path.exists(metrics):
        os.remove(metrics)
    run.machine.check_run(
        [run.machine.program("train"), "--model", f"{folder}/{name}.npz", "--no-reload", "--train-sets", f"{corpus}/train.en",
         f"{corpus}/train.de", "--vocabs", f"{folder}/v.spm", f"{folder}/v.spm", "--tempdir", folder, "--after", f"{updates}u",
         *SMALL, *size, *machine_options], run.left())
    with open(metrics) as file:
        rows = [row for row in map(json.loads, file) if "cost_mean_words" in row]
    if len(rows) != updates:
        raise Failed(f"{name}: the log has {len(rows)} of {updates} updates")
    if rows[-1]["skipped_updates"]:
        raise Failed(f"{name}: {rows[-1]['skipped_updates']} of {updates} updates were skipped, their gradient was not finite")
    return [row["cost_mean_words"] for row in rows]


def largest_difference(values, reference):
    return max(abs(a - b) / abs(b) if a == a else float("inf") for a, b in zip(values, reference))


# Relative, of a loss; "first": of the first update, where no rounding has come back through the parameters yet.
LOSS_BOUNDS = {"float32": {"first": 1e-5, "all": 1e-4}, "bfloat16": {"first": 2e-3, "all": 2e-2}}


def losses(run):
    """The same training on the CPU (f32) and on the GPU (f32, bf16), dropout on: loss by loss."""
    updates = 3 if run.is_emulated else 50
    cpu = small_training(run, "cpu", ["--cpu-threads", str(min(8, os.cpu_count() or 1))], updates)
    report, words = {"updates": updates, "cpu": cpu}, []
    wrong = []
    for precision, bounds in LOSS_BOUNDS.items():
        gpu = small_training(run, precision, run.machine.gpu(precision), updates)
        report[precision] = gpu
        first, most = largest_difference(gpu[:1], cpu), largest_difference(gpu, cpu)
        report[f"{precision}_differs_by"] = {"first": first, "all": most}
        words.append(f"{precision} {most:.1e}")
        if not (first <= bounds["first"] and most <= bounds["all"]):
            wrong.append(f"{precision} losses differ by {first:.1e} at first and {most:.1e} at most, must be "
                         f"{bounds['first']:.0e} and {bounds['all']:.0e}")
    report["result"] = f"{updates} updates: " + ", ".join(words)
    if wrong:
        raise Failed("; ".join(wrong), report)
    return report


def arrays(path):
    """The arrays of an npz as bytes, without what names the run."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist() if not name.startswith("special:")}


def determinism(run):
    """Two trainings on the GPU: the same losses, parameters and optimizer state, bit for bit."""
    updates = 3 if run.is_emulated else 30
    first, second = (small_training(run, name, run.machine.gpu(), updates) for name in ("once", "twice"))
    folder = run.folder("small")
    for suffix in (".npz", ".npz.optimizer.npz"):
        one, two = arrays(f"{folder}/once{suffix}"), arrays(f"{folder}/twice{suffix}")
        names = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
        if names or not one:
            raise Failed(f"{len(names)} of {len(one)} arrays of {suffix[1:]} differ, first {names[0] if names else 'none'}")
    if first != second:
        raise Failed("the parameters are the same but the losses are not")
    return {"updates": updates, "result": f"{updates} updates twice: the same bits"}
