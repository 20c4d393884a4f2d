"""Times bough-decode-speed and CTranslate2 in turn: what translate.sh says.

Usage: translate.py WORK_FOLDER RESULT.json ROUNDS
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


def peer(model, text, sentences, batch, beam):
    """Processor seconds of CTranslate2, printed; a first pass is not counted."""
    import ctranslate2
    translator = ctranslate2.Translator(model, device="cpu", compute_type="float32", inter_threads=1, intra_threads=1)
    source = [line.split() + ["</s>"] for line in open(text)][:sentences]
    for _ in range(2):
        start = time.process_time()
        results = translator.translate_batch(source, beam_size=beam, max_batch_size=batch, batch_type="examples",
                                             max_decoding_length=LENGTH, min_decoding_length=LENGTH)
        seconds = time.process_time() - start
    tokens = sum(len(r.hypotheses[0]) + 1 for r in results)
    print(json.dumps({"target_tokens": tokens, "processor_seconds": [round(seconds, 3)]}))


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
    subprocess.run([f"{work}/native/bough-train", *sizes, "--model", f"{work}/base.npz", "--quiet", "--train-sets",
                    f"{work}/train.a", f"{work}/train.b", "--vocabs", f"{work}/vocab.yml", f"{work}/vocab.yml"], check=True)
    subprocess.run([os.path.dirname(sys.executable) + "/ct2-marian-converter", "--model_path", f"{work}/base.npz",
                    "--vocab_paths", f"{work}/vocab.yml", f"{work}/vocab.yml", "--output_dir", f"{work}/ct2", "--force"],
                   check=True)


def run(command, level):
    env = {**os.environ, **(HIDDEN if level == "avx2" else {})}
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout)
    return result["target_tokens"], result["processor_seconds"][0]


def time_case(work, level, sentences, batch, beam, rounds):
    text = f"{work}/text.{sentences}"
    with open(f"{work}/text") as source, open(text, "w") as file:
        file.writelines(source.readlines()[:sentences])
    own = [f"{work}/{level}/bough-decode-speed", "1", "--models", f"{work}/base.npz", "--vocabs", f"{work}/vocab.yml",
           f"{work}/vocab.yml", "--input", text, "--cpu-threads", "1", "--mini-batch", str(batch), "--beam-size", str(beam),
           "--max-length-factor", "1"]
    other = [sys.executable, __file__, "--peer", f"{work}/ct2", text, str(sentences), str(batch), str(beam)]
    row = {"level": level, "sentences": sentences, "batch": batch, "beam": beam,
           "load_average": round(os.getloadavg()[0], 1), "own": [], "ctranslate2": []}
    for _ in range(rounds):
        for name, command in ("own", own), ("ctranslate2", other):
            row["target_tokens"], seconds = run(command, level)
            row[name].append(seconds)
    row["ratio"] = round(statistics.median(o / b for b, o in zip(row["own"], row["ctranslate2"])), 2)
    return row


def main(work, result, rounds):
    prepare(work)
    has_avx512 = any(line.startswith("flags") and " avx512vl" in line for line in open("/proc/cpuinfo"))
    rows = []
    print("| level | batch | beam | ours, processor seconds | CTranslate2 | times as fast |\n|---|---|---|---|---|---|")
    for level in ["avx2", "native"] if has_avx512 else ["avx2"]:
        for case in CASES:
            row = time_case(work, level, *case, int(rounds))
            rows.append(row)
            print(f"| {level} | {row['batch']} | {row['beam']} | {statistics.median(row['own']):.2f} | "
                  f"{statistics.median(row['ctranslate2']):.2f} | {row['ratio']:.2f} |", flush=True)
    with open(result, "w") as file:
        file.write('{"date": "%s", "rows": [\n%s\n]}\n' % (time.strftime("%Y-%m-%d"), ",\n".join(map(json.dumps, rows))))


if sys.argv[1] == "--peer":
    peer(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
else:
    main(*sys.argv[1:])
