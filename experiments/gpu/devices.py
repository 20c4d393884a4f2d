"""The part about several GPUs of one machine: the same bits twice, the losses of one GPU that accumulates, a process that
is killed, and speed by the number of GPUs. Needs bough with NCCL."""
import json
import os
import signal
import statistics
import subprocess
import time

import speed
from failures import Failed, Skipped
from tests import LOSS_BOUNDS, arrays, largest_difference, small_training


def chosen(gpus):
    return ["--devices", *map(str, range(gpus)), "--precision", "float32", "float32"]


def require_nccl(run):
    """A machine with one GPU, or a bough without NCCL, has nothing to be tried."""
    gpus = run.machine.gpus()
    if gpus < 2:
        raise Skipped("this machine has one GPU")
    code, output = run.machine.run([run.machine.program("train"), "--model", f"{run.folder('nccl')}/m.npz", "--devices", "0", "1",
                                    "--train-sets", "none", "none", "--vocabs", "none", "none"], run.left())
    if "built without NCCL" in output:
        raise Skipped("this bough was built without NCCL: install it and build here, with cmake --preset cuda")
    return gpus


def same_bits(run, gpus):
    """Two GPUs twice, and one that accumulates what two compute."""
    updates = 3 if run.is_emulated else 30
    two = small_training(run, "two", chosen(2), updates, parts=(2, 1))
    again = small_training(run, "again", chosen(2), updates, parts=(2, 1))
    one = small_training(run, "one", chosen(1), updates, parts=(1, 2))
    folder = run.folder("small")
    first, second = (arrays(f"{folder}/{name}.npz.optimizer.npz") for name in ("two", "again"))
    if first != second or two != again:
        raise Failed("two runs of two GPUs have other bits")
    difference = largest_difference(two, one)
    if not difference <= LOSS_BOUNDS["float32"]["all"]:
        raise Failed(f"losses of two GPUs and of one that accumulates differ by {difference:.1e}, must be {LOSS_BOUNDS['float32']['all']:.0e}")
    return difference


def children_of(process):
    with open(f"/proc/{process}/task/{process}/children") as file:
        return [int(word) for word in file.read().split()]


def killed(run):
    """Seconds from the end of one of two processes to that of the run."""
    folder, corpus = run.folder("killed"), run.small_corpus()
    command = [run.machine.program("train"), "--model", f"{folder}/m.npz", "--no-reload", "--train-sets", f"{corpus}/train.en", f"{corpus}/train.de",
               "--vocabs", f"{folder}/v.spm", f"{folder}/v.spm", "--tempdir", folder, "--dim-vocabs", "120", "120", "--max-length", "60",
               "--sentencepiece-options=--character_coverage=1.0", "--mini-batch-words", "400", "--disp-freq", "1u", *chosen(2),
               *speed.model_options(run, speed.TOY["model"])]
    run.machine.log.write("$ " + " ".join(command))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=run.machine.env) as process:
        lines, killed_at = [], None
        for line in process.stderr:
            lines.append(line)
            if " Up. 3 " in line:
                os.kill(children_of(process.pid)[1], signal.SIGKILL)
                killed_at = time.monotonic()
            if run.left() < 0:
                process.kill()
        code = process.wait()
    run.machine.log.write(lines[-1].rstrip() if lines else "")
    if killed_at is None:
        raise Failed(f"no third update came: {lines[-1].strip() if lines else 'nothing'}")
    if code != 1 or "Error: rank 1 (GPU 1) was killed by signal 9" not in lines[-1]:
        raise Failed(f"a killed process ended the run with {code} and '{lines[-1].strip()}'")
    return time.monotonic() - killed_at


def rate(run, gpus, tokens, updates):
    """Target tokens a second, the median over rows of the log without the first half."""
    shape = speed.TOY["model"] if run.is_emulated else speed.MODELS["base"]
    machine = ["--devices", *map(str, range(gpus))]
    options, _ = speed.speed_options(run, shape, gpus * tokens, updates, machine)
    model = f"{run.folder('scaling')}/{gpus}.npz"
    run.machine.check_run([run.machine.program("train"), *options, "--model", model, "--no-reload", "--disp-freq", f"{max(updates // 20, 1)}u"], run.left())
    with open(model + ".metrics.jsonl") as file:
        rates = [row["words_per_second"] for row in map(json.loads, file) if "words_per_second" in row]
    return statistics.median(rates[len(rates) // 2:])


def devices(run):
    gpus = require_nccl(run)
    report = {"gpus": gpus, "rows": []}
    report["two_differ_from_one_by"] = same_bits(run, gpus)
    report["seconds_after_kill"] = round(killed(run), 2)
    tokens, updates = (speed.TOY["tokens"], 4) if run.is_emulated else ((run.options.tokens or [8448])[0], 200)
    counts = sorted({1, gpus, *(n for n in (2, 4, 8) if n <= gpus)})
    for count in counts:
        row = {"gpus": count, "tokens": tokens, "target_tokens_per_second": rate(run, count, tokens, updates)}
        row["percent_of_linear"] = 100 * row["target_tokens_per_second"] / (count * (report["rows"] or [row])[0]["target_tokens_per_second"])
        report["rows"].append(row)
    report["result"] = (f"{gpus} GPUs at {report['rows'][-1]['percent_of_linear']:.1f} % of linear; two twice: the same bits; "
                        f"a killed one ends all in {report['seconds_after_kill']} s")
    return report
