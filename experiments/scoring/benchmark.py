"""Times bough-score and sacreBLEU on the same generated text. Called by benchmark.sh."""
import json
import os
import platform
import random
import subprocess
import sys
import threading
import time

program, folder, result_path = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3]
sacrebleu = [sys.executable, "-m", "sacrebleu"]
LINES, SYSTEMS, STREAMED_LINES = 3000, 16, 10_000_000


def words(rng, vocabulary, weights):
    return rng.choices(vocabulary, cum_weights=weights, k=rng.randint(5, 45))


def make_text(rng):
    """A reference and translations of it: words lost, replaced, added and moved."""
    letters = "etaoinshrdlu"
    vocabulary = ["".join(rng.choice(letters) for _ in range(rng.randint(1, 9))) for _ in range(8000)]
    total, weights = 0, []
    for rank in range(len(vocabulary)):
        total += 1 / (rank + 2)
        weights.append(total)
    references, systems = [], [[] for _ in range(SYSTEMS)]
    for _ in range(LINES):
        line = words(rng, vocabulary, weights)
        references.append(" ".join(line).capitalize() + ".")
        for s, system in enumerate(systems):
            copy = list(line)
            for _ in range(rng.randint(0, 3 + len(line) // 4) + s // 8):
                at, kind = rng.randrange(len(copy)), rng.random()
                if kind < 0.4:
                    copy[at] = rng.choices(vocabulary, cum_weights=weights)[0]
                elif kind < 0.6 and len(copy) > 1:
                    del copy[at]
                elif kind < 0.8:
                    copy.insert(at, rng.choices(vocabulary, cum_weights=weights)[0])
                else:
                    block = copy[at : at + rng.randint(1, 4)]
                    del copy[at : at + len(block)]
                    to = rng.randint(0, len(copy))
                    copy[to:to] = block
            system.append(" ".join(copy).capitalize() + ".")
    return references, systems


def write(name, lines):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write("".join(line + "\n" for line in lines))
    return path


def run(command):
    """Seconds, CPU seconds, standard output and peak memory in MiB of a command."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    if status != 0:
        sys.exit(f"benchmark: {command} failed with status {status}")
    return seconds, usage.ru_utime + usage.ru_stime, output, usage.ru_maxrss / 1024


def same(left, right):
    """Equal up to the float32 sums of sacreBLEU's bootstraps."""
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, float):
        return abs(left - right) < 1e-4
    return left == right


def compare(name, arguments, wanted, repeats):
    """The best of some runs of ours, taken around one run of theirs."""
    ours = [run([program] + arguments) for _ in range(repeats)]
    theirs = run(sacrebleu + arguments)
    ours += [run([program] + arguments) for _ in range(repeats)]
    best = min(result[0] for result in ours)
    cpu = min(result[1] for result in ours)
    row = {
        "task": name,
        "sacrebleu_seconds": round(theirs[0], 2),
        "bough_seconds": round(best, 4),
        "ratio": round(theirs[0] / best, 1),
        "wanted_ratio": wanted,
        "sacrebleu_cpu_seconds": round(theirs[1], 2),
        "bough_cpu_seconds": round(cpu, 4),
        "cpu_ratio": round(theirs[1] / cpu, 1),
        "same_results": same(json.loads(theirs[2]), json.loads(ours[0][2])),
    }
    print(row, flush=True)
    return row


def stream(references, system):
    """BLEU of many lines that exist only in two pipes."""
    paths = [os.path.join(folder, name) for name in ("stream.ref", "stream.sys")]
    blocks = ["".join(line + "\n" for line in lines).encode() for lines in (references, system)]
    repeats = -(-STREAMED_LINES // LINES)

    def feed(path, block):
        with open(path, "wb", buffering=0) as pipe:
            for _ in range(repeats):
                view = memoryview(block)
                while view:
                    view = view[pipe.write(view) :]

    for path in paths:
        os.mkfifo(path)
    feeders = [threading.Thread(target=feed, args=pair, daemon=True) for pair in zip(paths, blocks)]
    for feeder in feeders:
        feeder.start()
    seconds, cpu, output, mebibytes = run([program, paths[0], "-i", paths[1], "-w", "4"])
    row = {
        "task": f"BLEU of {repeats * LINES} lines, streamed",
        "bough_seconds": round(seconds, 1),
        "bough_cpu_seconds": round(cpu, 1),
        "lines_per_second": round(repeats * LINES / seconds),
        "peak_memory_mib": round(mebibytes, 1),
        "score": json.loads(output)["score"],
    }
    print(row, flush=True)
    return row


references, systems = make_text(random.Random(1))
reference = write("ref.txt", references)
files = [write(f"system{s:02}.txt", lines) for s, lines in enumerate(systems)]
cores = len(os.sched_getaffinity(0))
tasks = [
    lambda: compare(f"BLEU+chrF+TER of {LINES} lines",
                    [reference, "-i", files[0], "-m", "bleu", "chrf", "ter", "-w", "4"], 50, 3),
    lambda: compare(f"paired bootstrap, {SYSTEMS} systems, 1000 samples, {LINES} lines",
                    [reference, "-i", *files, "--paired-bs", "--paired-jobs", str(cores)], 30, 3),
    lambda: stream(references, systems[0]),
]
with open("/proc/cpuinfo") as info:
    model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "")
summary = {"cpu": model, "cores": cores, "python": platform.python_version(), "results": []}
for task in tasks:
    summary["results"].append(task())
    summary["load_at_end"] = os.getloadavg()[0]
    with open(result_path, "w") as file:
        json.dump(summary, file, indent=1)
        file.write("\n")
