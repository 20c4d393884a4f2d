"""Starts bough-train again and again and measures what startup.sh says.

Usage: startup.py RESULT.json WORK_FOLDER HEAD bough-train [its options]
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

repeats = 5
updates = 20


def run(program, work):
    """Seconds to the first update, and peak resident memory in MiB."""
    for old in work.glob("model.npz*"):
        old.unlink()
    options = ["--model", work / "model.npz", "--tempdir", work, "--after", f"{updates}u", "--disp-freq", "1u",
               "--save-freq", "1000u"]
    begin = time.monotonic()
    child = subprocess.Popen([*program, *options], stderr=subprocess.PIPE, text=True)
    first, log = None, []
    for line in child.stderr:
        log.append(line)
        if first is None and " Up. 1 :" in line:
            first = time.monotonic() - begin
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0 or first is None:
        sys.exit("startup.py: bough-train did not train:\n" + "".join(log[-5:]))
    return first, usage.ru_maxrss / 1024


def rows(program, work):
    run(program, work)  # makes the vocabulary, and reads the files once
    for cache in "missing", "there":
        runs = []
        for _ in range(repeats):
            if cache == "missing":
                for tokens in work.glob("bough-*.tokens"):
                    tokens.unlink()
            runs.append(run(program, work))
        seconds, mib = zip(*runs)
        yield {
            "token_cache": cache,
            "seconds_to_first_update": [round(s, 2) for s in seconds],
            "median_seconds": round(statistics.median(seconds), 2),
            "peak_rss_mib": round(max(mib)),
        }


def main():
    result, folder, head, *program = sys.argv[1:]
    work = pathlib.Path(folder) / "startup"  # of which files are removed
    work.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    measured = list(rows(program, work))
    print("token cache  first update after  peak memory")
    for row in measured:
        print(f"{row['token_cache']:11}  {row['median_seconds']:14.2f} s    {row['peak_rss_mib']:7d} MiB")
    content = {
        **json.loads("{%s}" % head.rstrip(",")),  # options.sh: result_head
        "machine": f"{'busy' if load > 0.5 else 'idle'}: load average {load:.1f} before the first run",
        "updates": updates,
        "runs": measured,
    }
    pathlib.Path(result).write_text(json.dumps(content, indent=2) + "\n")


main()
