"""Trains again and again, as one process and as several, and measures what ranks.sh says.

Usage: ranks.py RESULT.json WORK_FOLDER HEAD ROUNDS UPDATES bough-train [its options]
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

LAUNCH = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n"]
# name: ranks that mpirun starts (0: it does not), threads of each
RUNS = {
    "one process, two threads": (0, 2),
    "two ranks, one thread each": (2, 1),
    "one process, one thread": (0, 1),
    "one rank of mpirun, one thread": (1, 1),
}
PAIRS = [("two ranks, one thread each", "one process, two threads"),
         ("one rank of mpirun, one thread", "one process, one thread")]


def run(program, work, ranks, threads, updates):
    """Target tokens a second of the second half of 2 * `updates`, and what the log calls the device."""
    for old in work.glob("model.npz*"):
        old.unlink()
    command = [*(LAUNCH + [str(ranks)] if ranks else []), *program, "--cpu-threads", str(threads), "--model",
               work / "model.npz", "--tempdir", work, "--after", f"{2 * updates}u", "--disp-freq", f"{updates}u",
               "--save-freq", "100000u"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("ranks.py: bough-train did not train:\n" + "\n".join(done.stderr.splitlines()[-5:]))
    shown = [json.loads(line) for line in open(work / "model.npz.metrics.jsonl")]
    shown = [line for line in shown if "words_per_second" in line and line["update"] == 2 * updates]
    return shown[0]["words_per_second"], re.search(r"\[device\] (.*)", done.stderr).group(1)


def main():
    result, folder, head, rounds, updates, *program = sys.argv[1:]
    work, updates = pathlib.Path(folder) / "ranks", int(updates)
    work.mkdir(exist_ok=True)  # files of it are removed
    run(program, work, 0, 1, 1)  # makes the vocabulary and the token cache
    found = {name: {"ranks": ranks, "threads": threads, "words_per_second": [], "load_average_before": []}
             for name, (ranks, threads) in RUNS.items()}
    for _ in range(int(rounds)):
        for name, (ranks, threads) in RUNS.items():
            row = found[name]
            row["load_average_before"].append(round(os.getloadavg()[0], 1))
            speed, row["device"] = run(program, work, ranks, threads, updates)
            row["words_per_second"].append(round(speed, 1))
    for row in found.values():
        row["median"] = round(statistics.median(row["words_per_second"]), 1)
    print(f"{'':32}  target tokens/s  of the one below")
    ratios = []
    for first, second in PAIRS:
        # Of the runs of a round, which stand beside one another.
        ratio = statistics.median(a / b for a, b in zip(found[first]["words_per_second"],
                                                        found[second]["words_per_second"]))
        ratios.append({"of": first, "to": second, "median_ratio": round(ratio, 4)})
        print(f"{first:32}  {found[first]['median']:15.0f}  {ratio:.3f}")
        print(f"{second:32}  {found[second]['median']:15.0f}")
    content = {
        **json.loads("{%s}" % head.rstrip(",")),  # options.sh: result_head
        "updates": updates,
        "runs": found,
        "ratios": ratios,
    }
    pathlib.Path(result).write_text(json.dumps(content, indent=2) + "\n")


main()
