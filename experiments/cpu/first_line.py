"""Starts bough-translate again and again and measures what first_line.sh says.

Usage: first_line.py RESULT.json WORK_FOLDER HEAD PROGRAMS_FOLDER
"""
import json
import os
import statistics
import subprocess
import sys
import time

WORDS, REPEATS = 20000, 7
SIZES = ("--type transformer --dim-emb 512 --transformer-dim-ffn 2048 --transformer-heads 8 --enc-depth 6 --dec-depth 6 "
         f"--tied-embeddings-all --transformer-ffn-activation relu --dim-vocabs {WORDS} {WORDS}").split()


def make_model(work, programs):
    with open(f"{work}/vocab.yml", "w") as file:
        file.write("</s>: 0\n<unk>: 1\n" + "".join(f"w{i}: {i}\n" for i in range(2, WORDS)))
    with open(f"{work}/text", "w") as file:
        file.write("w5 w6 w7 w8 w9\n")
    subprocess.run([f"{programs}/bough-train", *SIZES, "--model", f"{work}/model.npz", "--train-sets", f"{work}/text",
                    f"{work}/text", "--vocabs", f"{work}/vocab.yml", f"{work}/vocab.yml", "--after", "1u", "--seed", "1",
                    "--overwrite", "--quiet", "--no-reload", "--tempdir", work], check=True)


def run(work, programs, kind):
    """Seconds to the first line, and peak resident memory in MiB."""
    begin = time.monotonic()
    child = subprocess.Popen([f"{programs}/bough-translate", "--models", f"{work}/model.npz", "--vocabs", f"{work}/vocab.yml",
                              f"{work}/vocab.yml", "--beam-size", "4", "--max-length-factor", "1", "--mini-batch", "1",
                              "--maxi-batch", "1", "--gemm-precision", kind, "--quiet"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with open(f"{work}/text", "rb") as text:
        child.stdin.write(text.read())
    child.stdin.flush()  # and left open: the program cannot know that there is only one line
    if not child.stdout.readline().endswith(b"\n"):
        sys.exit("first_line.py: bough-translate has ended without a line")
    seconds = time.monotonic() - begin
    child.stdin.close()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"first_line.py: bough-translate has ended with {status}")
    return seconds, usage.ru_maxrss // 1024


def main():
    result, folder, head, programs = sys.argv[1:]
    work = os.path.join(folder, "first-line")  # of which a model is overwritten
    os.makedirs(work, exist_ok=True)
    make_model(work, programs)
    rows = []
    print("gemm-precision  first line after  peak memory")
    for kind in ["float32", "int8"]:
        load = round(os.getloadavg()[0], 1)
        run(work, programs, kind)  # the file is in memory from here on
        seconds, mib = zip(*(run(work, programs, kind) for _ in range(REPEATS)))
        rows.append({"gemm-precision": kind, "load_average_before": load, "seconds": [round(s, 3) for s in seconds],
                     "median_seconds": round(statistics.median(seconds), 3), "peak_mib": max(mib)})
        print(f"{kind:14}  {rows[-1]['median_seconds']:14.2f} s  {rows[-1]['peak_mib']:7} MiB")
    with open(result, "w") as file:
        file.write("{\n" + head + '\n  "rows": [\n    %s\n  ]\n}\n' % ",\n    ".join(map(json.dumps, rows)))


main()
