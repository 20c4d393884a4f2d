"""Times bough-decode-speed and CTranslate2 in turn: what translate.sh says.

Usage: translate.py WORK_FOLDER RESULT.json HEAD ROUNDS TYPE...
"""
import json
import os
import random
import statistics
import subprocess
import sys
import time

WORDS, LENGTH = 20000, 25  # of the vocabulary; of every sentence and translation
HIDDEN = {"CT2_FORCE_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
# sentences in all, in a batch, beam
CASES = [(64, 32, 4), (128, 64, 4), (4, 1, 4), (8, 1, 1)]


def peer(model, text, kind, sentences, batch, beam):
    """Processor seconds of CTranslate2, printed; a first pass is not counted."""
    import ctranslate2
    translator = ctranslate2.Translator(model, device="cpu", compute_type=kind, inter_threads=1, intra_threads=1)
    source = [line.split() + ["</s>"] for line in open(text)][:sentences]
    for _ in range(2):
        start = time.process_time()
        results = translator.translate_batch(source, beam_size=beam, max_batch_size=batch, batch_type="examples",
                                             max_decoding_length=LENGTH, min_decoding_length=LENGTH)
        seconds = time.process_time() - start
    tokens = sum(len(r.hypotheses[0]) + 1 for r in results)
    print(json.dumps({"target_tokens": tokens, "processor_seconds": [round(seconds, 3)]}))


def make_normal(path):
    """Matrices get normal weights of the same size: as in trained models, few are near the largest, and those matter in 8
    bits, where the uniform ones that a training begins with would have a quarter of all pairs of products corrected."""
    import numpy
    draw = numpy.random.default_rng(1)
    with numpy.load(path) as file:
        arrays = dict(file)
    for name, array in arrays.items():
        if array.ndim == 2 and min(array.shape) > 1:
            arrays[name] = draw.normal(0, array.std(), array.shape).astype(numpy.float32)
    numpy.savez(path, **arrays)


def prepare(work):
    """A model of random weights, and text of random words."""
    draw = random.Random(1)
    sentence = lambda: " ".join(f"w{draw.randrange(2, WORDS)}" for _ in range(LENGTH))
    for name, lines in ("train.a", 8), ("train.b", 8), ("text", 128):
        with open(f"{work}/{name}", "w") as file:
            file.writelines(sentence() + "\n" for _ in range(lines))
    with open(f"{work}/vocab.yml", "w") as file:
        file.write("</s>: 0\n<unk>: 1\n" + "".join(f"w{i}: {i}\n" for i in range(2, WORDS)))
    if os.path.exists(f"{work}/ct2/model.bin"):
        return
    sizes = ("--dim-emb 512 --transformer-dim-ffn 2048 --transformer-heads 8 --enc-depth 6 --dec-depth 6 --tied-embeddings-all "
             "--transformer-ffn-activation relu --transformer-postprocess dan --type transformer --seed 1 --after 1u "
             f"--mini-batch 8 --cpu-threads 1 --overwrite --dim-vocabs {WORDS} {WORDS}").split()
    subprocess.run([f"{work}/build/bough-train", *sizes, "--model", f"{work}/base.npz", "--quiet", "--train-sets",
                    f"{work}/train.a", f"{work}/train.b", "--vocabs", f"{work}/vocab.yml", f"{work}/vocab.yml"], check=True)
    # In a process of its own: what this one has held counts as memory of those that it starts.
    subprocess.run([sys.executable, __file__, "--normal", f"{work}/base.npz"], check=True)
    subprocess.run([os.path.dirname(sys.executable) + "/ct2-marian-converter", "--model_path", f"{work}/base.npz",
                    "--vocab_paths", f"{work}/vocab.yml", f"{work}/vocab.yml", "--output_dir", f"{work}/ct2", "--force"],
                   check=True)


def run(command, level):
    """Target tokens, processor seconds and peak memory in MiB of a program that prints the first two."""
    env = {**os.environ, **(HIDDEN if level == "avx2" else {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    result = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} ended with {status}")
    return result["target_tokens"], result["processor_seconds"][0], usage.ru_maxrss // 1024


def time_case(work, level, kind, sentences, batch, beam, rounds):
    text = f"{work}/text.{sentences}"
    with open(f"{work}/text") as source, open(text, "w") as file:
        file.writelines(source.readlines()[:sentences])
    own = [f"{work}/build/bough-decode-speed", "1", "--models", f"{work}/base.npz", "--vocabs", f"{work}/vocab.yml",
           f"{work}/vocab.yml", "--input", text, "--cpu-threads", "1", "--cpu-level", level, "--gemm-precision", kind,
           "--mini-batch", str(batch), "--beam-size", str(beam), "--max-length-factor", "1"]
    other = [sys.executable, __file__, "--peer", f"{work}/ct2", text, kind, str(sentences), str(batch), str(beam)]
    row = {"level": level, "type": kind, "sentences": sentences, "batch": batch, "beam": beam,
           "load_average": round(os.getloadavg()[0], 1), "own": [], "ctranslate2": []}
    for _ in range(rounds):
        for name, command in ("own", own), ("ctranslate2", other):
            row["target_tokens"], seconds, row[f"{name}_mib"] = run(command, level)
            row[name].append(seconds)
    row["ratio"] = round(statistics.median(o / b for b, o in zip(row["own"], row["ctranslate2"])), 2)
    return row


def main(work, result, head, rounds, *kinds):
    prepare(work)
    has_avx512 = any(line.startswith("flags") and " avx512vl" in line for line in open("/proc/cpuinfo"))
    rows = []
    print("| level | type | batch | beam | ours, processor seconds | CTranslate2 | times as fast | MiB | CTranslate2 |\n"
          "|---|---|---|---|---|---|---|---|---|")
    for level in ["avx2", "avx512"] if has_avx512 else ["avx2"]:
        for kind in kinds:
            for case in CASES:
                row = time_case(work, level, kind, *case, int(rounds))
                rows.append(row)
                print(f"| {level} | {kind} | {row['batch']} | {row['beam']} | {statistics.median(row['own']):.2f} | "
                      f"{statistics.median(row['ctranslate2']):.2f} | {row['ratio']:.2f} | {row['own_mib']} | "
                      f"{row['ctranslate2_mib']} |", flush=True)
    with open(result, "w") as file:
        file.write("{\n" + head + '\n  "rows": [\n    %s\n  ]\n}\n' % ",\n    ".join(map(json.dumps, rows)))


if sys.argv[1] == "--normal":
    make_normal(sys.argv[2])
elif sys.argv[1] == "--peer":
    peer(*sys.argv[2:5], *map(int, sys.argv[5:]))
else:
    main(*sys.argv[1:])
