"""Training speed of bough and PyTorch on the same CPU, model, parameters and sentences, in one run.

train_speed.py BOUGH_TRAIN_SPEED WORK_FOLDER RESULT.json NAME THREADS [bough-train options]

The peer is a plain Post-LN Transformer in PyTorch, f32, with dropout, label smoothing, tied embeddings and
fused Adam, in four forms: {eager, torch.compile} x {padded, packed}. padded: the sentences of an update
sorted by length and cut into micro-batches of at most an eighth of its tokens, padding included, so that
little is padded; packed: all tokens of an update one after another, attention by a block-diagonal mask within chunks of
sentences. Blocks of updates alternate (bough, peer, bough, peer, ...); medians are reported.
"""
import json
import os
import statistics
import sys
import time

import numpy as np
import torch
import torch._inductor.config

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "speed"))
from bough import Bough, read_updates, target_tokens
from peer import Peer
from side_by_side import interleave, ratio, summary


def model_options(words):
    """The peer's shape out of bough-train's options."""
    keys = {"--dim-emb": ("d", int), "--transformer-dim-ffn": ("ffn", int), "--transformer-heads": ("heads", int),
            "--enc-depth": ("encoder", int), "--dec-depth": ("decoder", int), "--transformer-dropout": ("dropout", float)}
    return {keys[key][0]: keys[key][1](value) for key, value in zip(words, words[1:]) if key in keys}


def main():
    program, work, result_path, name, threads = sys.argv[1:6]
    extra = sys.argv[6:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":
        torch._inductor.config.cpp.simdlen = 256  # of what torch.compile generates
    ours = Bough(program, f"{work}/batches.txt", f"{work}/start.npz", ["--cpu-threads", threads, *extra])
    arrays = np.load(ours.model)
    updates = read_updates(ours.batches)
    tokens = statistics.mean(map(target_tokens, updates))
    forms = {"padded": "padded by length", "packed": "packed rectangles"}
    peers = {f"{'compile' if c else 'eager'} {form}": Peer(model_options(extra), arrays, updates, forms[form], c)
             for form in forms for c in (None, "model")}

    reference = ours.loss()
    for peer_name, peer in peers.items():
        difference = abs(peer.loss() - reference) / reference
        print(f"first loss, bough {reference:.6f}, {peer_name} differs by {difference:.1e}", flush=True)
        if not difference < 1e-5:
            sys.exit("train_speed: the models are not the same")

    ours.run(len(updates))
    for peer_name, peer in peers.items():
        start = time.perf_counter()
        peer.run(len(updates))  # warm up on every shape
        print(f"{peer_name}: warmed up in {time.perf_counter() - start:.0f} s", flush=True)
    block = 4
    seconds, own = interleave({"bough": ours, **peers}, block, rounds=5)
    before = ours.number("flops")
    ours.run(1)
    flops = ours.number("flops") - before
    speed = {key: summary(times, block, tokens)["target_tokens_per_second"] for key, times in seconds.items()}
    result = {
        "model": name, "threads": int(threads), "torch": torch.__version__, "level": torch.backends.cpu.get_cpu_capability(),
        "target_tokens_per_update": tokens, "tokens_per_second": speed,
        "bough_times_faster_than": {key: ratio(own[key], seconds[key]) for key in peers},
        "gemm_gflops": ours.number("gemm"), "bough_gflops": round(flops * speed["bough"] / tokens * 1e-9, 1),
        "peak_rss_mib": round(ours.number("memory")),
    }
    ours.close()
    print(json.dumps(result, indent=1))
    with open(result_path, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


main()
