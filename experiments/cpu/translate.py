"""Times bough-decode-speed and CTranslate2 in turn: what translate.sh says.

Usage: translate.py WORK_FOLDER MULTI30K_FOLDER RESULT.json HEAD ROUNDS TYPE...
"""
import json
import os
import random
import statistics
import subprocess
import sys
import time

WORDS, LENGTH = 20000, 25  # of the vocabulary; of every sentence, and steps of every translation
HIDDEN = {"CT2_FORCE_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
# model, sentences in all, in a batch, beam
CASES = [("base", 64, 32, 4), ("base", 128, 64, 4), ("base", 4, 1, 4), ("base", 8, 1, 1), ("multi30k", 1000, 32, 4),
         ("multi30k", 1000, 64, 4), ("multi30k", 200, 1, 4)]
MULTI30K = os.path.dirname(os.path.abspath(__file__)) + "/../multi30k/model"


def peer(model, text, kind, batch, beam):
    """Processor seconds of CTranslate2, printed; a first pass is not counted."""
    import ctranslate2
    translator = ctranslate2.Translator(model, device="cpu", compute_type=kind, inter_threads=1, intra_threads=1)
    source = [line.split() + ["</s>"] for line in open(text)]
    # At its limit CTranslate2 ends without the end of sentence, for which bough takes one step.
    has_end = "multi30k" in model
    limits = {"length_penalty": 1} if has_end else {"max_decoding_length": LENGTH, "min_decoding_length": LENGTH}
    for _ in range(2):
        start = time.process_time()
        results = translator.translate_batch(source, beam_size=beam, max_batch_size=batch, batch_type="examples", **limits)
        seconds = time.process_time() - start
    tokens = sum(len(r.hypotheses[0]) + has_end for r in results)
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


def convert(work, name, vocabulary):
    subprocess.run([os.path.dirname(sys.executable) + "/ct2-marian-converter", "--model_path", f"{work}/{name}.npz",
                    "--vocab_paths", vocabulary, vocabulary, "--output_dir", f"{work}/ct2-{name}", "--force"], check=True)


def prepare_base(work):
    """A model of random weights, and text of random words."""
    draw = random.Random(1)
    sentence = lambda: " ".join(f"w{draw.randrange(2, WORDS)}" for _ in range(LENGTH))
    for name, lines in ("train.a", 8), ("train.b", 8), ("base.text", 128):
        with open(f"{work}/{name}", "w") as file:
            file.writelines(sentence() + "\n" for _ in range(lines))
    with open(f"{work}/base.yml", "w") as file:
        file.write("</s>: 0\n<unk>: 1\n" + "".join(f"w{i}: {i}\n" for i in range(2, WORDS)))
    if os.path.exists(f"{work}/ct2-base/model.bin"):
        return
    sizes = ("--dim-emb 512 --transformer-dim-ffn 2048 --transformer-heads 8 --enc-depth 6 --dec-depth 6 --tied-embeddings-all "
             "--transformer-ffn-activation relu --transformer-postprocess dan --type transformer --seed 1 --after 1u "
             f"--mini-batch 8 --cpu-threads 1 --overwrite --dim-vocabs {WORDS} {WORDS}").split()
    subprocess.run([f"{work}/build/bough-train", *sizes, "--model", f"{work}/base.npz", "--quiet", "--train-sets",
                    f"{work}/train.a", f"{work}/train.b", "--vocabs", f"{work}/base.yml", f"{work}/base.yml"], check=True)
    # In a process of its own: what this one has held counts as memory of those that it starts.
    subprocess.run([sys.executable, __file__, "--normal", f"{work}/base.npz"], check=True)
    convert(work, "base", f"{work}/base.yml")


def make_single(path):
    """The model of experiments/multi30k in numbers of 32 bits, and its vocabulary as a list of pieces."""
    import numpy
    import sentencepiece
    with numpy.load(f"{MULTI30K}/model.npz") as file:
        numpy.savez(path, **{name: a.astype(numpy.float32) if a.dtype == numpy.float16 else a for name, a in file.items()})
    pieces = sentencepiece.SentencePieceProcessor(f"{MULTI30K}/vocab.spm")
    with open(path.replace(".npz", ".yml"), "w") as file:
        file.writelines(f"{json.dumps(pieces.id_to_piece(i), ensure_ascii=False)}: {i}\n" for i in range(pieces.get_piece_size()))


def prepare_multi30k(work, data):
    """Its own test set: each program gets it as it reads text, CTranslate2 in pieces."""
    import sentencepiece
    pieces = sentencepiece.SentencePieceProcessor(f"{MULTI30K}/vocab.spm")
    with open(f"{data}/tok/test_2016_flickr.en") as source:
        lines = source.readlines()
    with open(f"{work}/multi30k.text", "w") as text, open(f"{work}/multi30k.pieces", "w") as split:
        text.writelines(lines)
        split.writelines(" ".join(pieces.encode_as_pieces(line.strip())) + "\n" for line in lines)
    subprocess.run([sys.executable, __file__, "--single", f"{work}/multi30k.npz"], check=True)
    convert(work, "multi30k", f"{work}/multi30k.yml")


def run(command, level):
    """Target tokens, processor seconds and peak memory in MiB of a program that prints the first two."""
    env = {**os.environ, **(HIDDEN if level == "avx2" else {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    result = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} ended with {status}")
    return result["target_tokens"], result["processor_seconds"][0], usage.ru_maxrss // 1024


def head_of(path, lines):
    """A file with its first lines."""
    with open(path) as source, open(f"{path}.{lines}", "w") as file:
        file.writelines(source.readlines()[:lines])
    return f"{path}.{lines}"


def time_case(work, level, kind, model, sentences, batch, beam, rounds):
    text = head_of(f"{work}/{model}.text", sentences)
    if model == "base":
        # As many steps as CTranslate2 has: a sentence has an end, too.
        free, vocabulary, pieces = [], f"{work}/base.yml", text
        limits = ["--max-length-factor", str((LENGTH + 0.5) / (LENGTH + 1))]
    else:
        free, vocabulary, pieces = ["--as-trained"], f"{MULTI30K}/vocab.spm", head_of(f"{work}/multi30k.pieces", sentences)
        limits = ["--normalize", "1"]
    own = [f"{work}/build/bough-decode-speed", "1", *free, "--models", f"{work}/{model}.npz", "--vocabs", vocabulary,
           vocabulary, "--input", text, "--cpu-threads", "1", "--cpu-level", level, "--gemm-precision", kind,
           "--mini-batch", str(batch), "--beam-size", str(beam), *limits]
    other = [sys.executable, __file__, "--peer", f"{work}/ct2-{model}", pieces, kind, str(batch), str(beam)]
    row = {"model": model, "level": level, "type": kind, "sentences": sentences, "batch": batch, "beam": beam,
           "load_average": round(os.getloadavg()[0], 1), "own": [], "ctranslate2": []}
    for _ in range(rounds):
        for name, command in ("own", own), ("ctranslate2", other):
            row[f"{name}_tokens"], seconds, row[f"{name}_mib"] = run(command, level)
            row[name].append(seconds)
    if abs(row["own_tokens"] / row["ctranslate2_tokens"] - 1) > 0.1:  # normalised scores count the end or not
        sys.exit(f"{model}: {row['own_tokens']} and {row['ctranslate2_tokens']} tokens: the two do not translate alike")
    row["ratio"] = round(statistics.median(o / b for b, o in zip(row["own"], row["ctranslate2"])), 2)
    return row


def main(work, data, result, head, rounds, *kinds):
    prepare_base(work)
    prepare_multi30k(work, data)
    has_avx512 = any(line.startswith("flags") and " avx512vl" in line for line in open("/proc/cpuinfo"))
    rows = []
    print("| model | level | type | batch | beam | ours, processor seconds | CTranslate2 | times as fast | MiB | CTranslate2 |\n"
          "|---|---|---|---|---|---|---|---|---|---|")
    for level in ["avx2", "avx512"] if has_avx512 else ["avx2"]:
        for kind in kinds:
            for case in CASES:
                row = time_case(work, level, kind, *case, int(rounds))
                rows.append(row)
                print(f"| {row['model']} | {level} | {kind} | {row['batch']} | {row['beam']} | "
                      f"{statistics.median(row['own']):.2f} | {statistics.median(row['ctranslate2']):.2f} | "
                      f"{row['ratio']:.2f} | {row['own_mib']} | {row['ctranslate2_mib']} |", flush=True)
    with open(result, "w") as file:
        file.write("{\n" + head + '\n  "rows": [\n    %s\n  ]\n}\n' % ",\n    ".join(map(json.dumps, rows)))


if sys.argv[1] == "--normal":
    make_normal(sys.argv[2])
elif sys.argv[1] == "--single":
    make_single(sys.argv[2])
elif sys.argv[1] == "--peer":
    peer(*sys.argv[2:5], *map(int, sys.argv[5:]))
else:
    main(*sys.argv[1:])
