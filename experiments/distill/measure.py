"""BLEU, source words a CPU second and the size of models: what run.sh calls last. Prints the end of result.json, and a table
on standard error.

Usage: measure.py PROGRAMS WORK DATA [NAME: [bough-translate options]]...
"""
import json
import os
import re
import resource
import subprocess
import sys

TESTS = ["test_2016_flickr", "test_2017_flickr"]


def seconds_of(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(programs, work, data, name, options):
    """One thread; the time of a start, which one line shows, is taken off."""
    command = [f"{programs}/bough-translate", *options, "--cpu-threads", "1", "--quiet", "--quiet-translation",
               "--mini-batch", "64", "--maxi-batch", "100", "--maxi-batch-sort", "src"]
    row = {"model": name, "load_average": round(os.getloadavg()[0], 1),
           "mib": round(os.path.getsize(options[options.index("-m") + 1]) / 2**20, 1)}
    with open(f"{data}/{TESTS[0]}.en", encoding="utf-8") as file, open(f"{work}/one", "w", encoding="utf-8") as one:
        one.write(file.readline())
    start = seconds_of([*command, "-i", f"{work}/one", "-o", f"{work}/one.out"])
    for test in TESTS:
        out = f"{work}/{test}.{re.sub('[^a-z0-9]+', '-', name)}"
        with open(f"{data}/{test}.en", encoding="utf-8") as file:
            words = len(file.read().split())
        seconds = seconds_of([*command, "-i", f"{data}/{test}.en", "-o", out]) - start
        bleu = subprocess.run([f"{programs}/bough-score", f"{data}/{test}.de", "-i", out, "-m", "bleu", "-b", "-w", "2"],
                              check=True, capture_output=True, text=True).stdout
        row[test] = {"bleu": float(bleu), "words_per_cpu_second": round(words / seconds)}
    return row


def models_of(words):
    """{name: options}; a word that ends with a colon is a name."""
    models = {}
    for word in words:
        if word.endswith(":"):
            options = models[word[:-1]] = []
        else:
            options.append(word)
    return models


def main(programs, work, data, *words):
    rows = [measure(programs, work, data, name, options) for name, options in models_of(words).items()]
    print('  "models": [\n    %s\n  ]\n}' % ",\n    ".join(map(json.dumps, rows)))
    print("| model | BLEU 2016 | BLEU 2017 | words per CPU second | MiB |\n|---|---|---|---|---|", file=sys.stderr)
    for row in rows:
        first, second = (row[test] for test in TESTS)
        print(f"| {row['model']} | {first['bleu']} | {second['bleu']} | {first['words_per_cpu_second']} | {row['mib']} |",
              file=sys.stderr)


main(*sys.argv[1:])
