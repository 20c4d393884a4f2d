"""Training speed of bough and PyTorch on the same CPU, model, parameters and sentences, in one run.

train_speed.py BOUGH_TRAIN_SPEED WORK_FOLDER RESULT.json NAME THREADS [bough-train options]

The peer is a plain Post-LN Transformer in PyTorch, f32, with dropout, label smoothing, tied embeddings and
fused Adam, in four forms: {eager, torch.compile} x {padded, packed}. padded: the sentences of an update
sorted by length and cut into micro-batches of at most an eighth of its tokens, padding included, so that
little is padded; packed: all tokens of an update one after another, attention by a block-diagonal mask within chunks of
sentences. Blocks of updates alternate (bough, peer, bough, peer, ...); medians are reported.
"""
import json
import math
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

PAD = -1


def sinusoids(length, d):
    half = d // 2
    angle = np.arange(length)[:, None] * np.exp(-np.arange(half) * math.log(10000.0) / (half - 1))
    return torch.tensor(np.concatenate([np.sin(angle), np.cos(angle)], 1), dtype=torch.float32)


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.q, self.kv, self.o, self.heads = nn.Linear(d, d), nn.Linear(d, 2 * d), nn.Linear(d, d), heads

    def forward(self, x, memory, mask):
        # x: (B, T, d); memory: (B, S, d); mask: (B, 1, T, S) or (T, S), True = may attend
        b, t, d = x.shape
        q = self.q(x).view(b, t, self.heads, -1).transpose(1, 2)
        k, v = self.kv(memory).view(b, memory.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o(y.transpose(1, 2).reshape(b, t, d))


class Layer(nn.Module):
    def __init__(self, d, ffn, heads, dropout, has_cross):
        super().__init__()
        self.attention = Attention(d, heads)
        self.cross = Attention(d, heads) if has_cross else None
        self.ffn1, self.ffn2 = nn.Linear(d, ffn), nn.Linear(ffn, d)
        self.norms = nn.ModuleList(nn.LayerNorm(d, eps=1e-6) for _ in range(3 if has_cross else 2))
        self.dropout = dropout

    def forward(self, x, mask, memory=None, cross_mask=None):
        drop = lambda y: F.dropout(y, self.dropout, self.training)
        x = self.norms[0](x + drop(self.attention(x, x, mask)))
        if self.cross is not None:
            x = self.norms[1](x + drop(self.cross(x, memory, cross_mask)))
        return self.norms[-1](x + drop(self.ffn2(F.relu(self.ffn1(x)))))


class Model(nn.Module):
    """Marian's Transformer: zero start embedding, embeddings times sqrt(d), tied output with a bias."""

    def __init__(self, vocabulary, d, ffn, heads, encoder, decoder, dropout):
        super().__init__()
        self.table = nn.Parameter(torch.empty(vocabulary, d))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.register_buffer("positions", sinusoids(512, d))
        self.encoder = nn.ModuleList(Layer(d, ffn, heads, dropout, False) for _ in range(encoder))
        self.decoder = nn.ModuleList(Layer(d, ffn, heads, dropout, True) for _ in range(decoder))
        self.dropout, self.scale = dropout, math.sqrt(d)

    def embed(self, ids, positions):
        x = F.embedding(ids.clamp(min=0), self.table) * (self.scale * (ids >= 0).unsqueeze(-1))
        return F.dropout(x + self.positions[positions], self.dropout, self.training)

    def forward(self, batch, smoothing):
        x = self.embed(batch["source"], batch["source_positions"])
        for layer in self.encoder:
            x = layer(x, batch["source_mask"])
        y = self.embed(batch["inputs"], batch["target_positions"])
        for layer in self.decoder:
            y = layer(y, batch["target_mask"], x, batch["cross_mask"])
        logits = F.linear(y, self.table, self.bias)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), batch["labels"].view(-1), ignore_index=PAD,
                               reduction="sum", label_smoothing=smoothing)

    def load(self, arrays):
        """bough's parameters (Marian's names; matrices are (in, out))."""
        get = lambda name: torch.tensor(arrays[name])

        def linear(module, prefix, suffixes):
            module.weight.data.copy_(torch.cat([get(f"{prefix}W{s}").T for s in suffixes]))
            module.bias.data.copy_(torch.cat([get(f"{prefix}b{s}").flatten() for s in suffixes]))

        def attention(module, prefix):
            linear(module.q, prefix, "q")
            linear(module.kv, prefix, "kv")
            linear(module.o, prefix, "o")

        self.table.data.copy_(get("Wemb"))
        self.bias.data.copy_(get("decoder_ff_logit_out_b").flatten())
        for side, layers in (("encoder", self.encoder), ("decoder", self.decoder)):
            for i, layer in enumerate(layers, 1):
                attention(layer.attention, f"{side}_l{i}_self_")
                if layer.cross is not None:
                    attention(layer.cross, f"{side}_l{i}_context_")
                linear(layer.ffn1, f"{side}_l{i}_ffn_", "1")
                linear(layer.ffn2, f"{side}_l{i}_ffn_", "2")


def read_updates(path):
    updates, sides = [], []
    for line in open(path):
        if line == "\n" and len(sides) % 2 == 0 and sides:
            updates.append(list(zip(sides[0::2], sides[1::2])))
            sides = []
        else:
            sides.append([int(i) for i in line.split()])
    return updates


def padded(pairs):
    """One padded batch."""
    source = max(len(s) for s, _ in pairs) + 1
    target = max(len(t) for _, t in pairs) + 1
    n = len(pairs)
    ids = torch.full((n, source), PAD)
    inputs, labels = torch.full((n, target), PAD), torch.full((n, target), PAD)
    for i, (s, t) in enumerate(pairs):
        ids[i, : len(s) + 1] = torch.tensor(s + [0])
        inputs[i, 1 : len(t) + 1] = torch.tensor(t)
        labels[i, : len(t) + 1] = torch.tensor(t + [0])
    used = (ids != PAD)[:, None, None, :]
    causal = torch.ones(target, target, dtype=torch.bool).tril()
    return {"source": ids, "inputs": inputs, "labels": labels,
            "source_positions": torch.arange(source).expand(n, -1), "target_positions": torch.arange(target).expand(n, -1),
            "source_mask": used, "cross_mask": used, "target_mask": causal}


def padded_update(pairs, parts=8):
    """Length-sorted batches of about an eighth of the update each."""
    pairs = sorted(pairs, key=lambda p: (len(p[1]), len(p[0])))
    budget = sum(len(t) + 1 for _, t in pairs) / parts
    batches, first, tokens = [], 0, 0
    for i, (_, t) in enumerate(pairs):
        tokens += len(t) + 1
        if tokens >= budget or i + 1 == len(pairs):
            batches.append(padded(pairs[first : i + 1]))
            first, tokens = i + 1, 0
    return batches


def packed_update(pairs, rows=256):
    """Whole sentences one after another in rows of at most `rows` tokens a side; masks keep them apart."""
    bins, current, s_used, t_used = [], [], 0, 0
    for s, t in pairs:
        if current and (s_used + len(s) + 1 > rows or t_used + len(t) + 1 > rows):
            bins.append(current)
            current, s_used, t_used = [], 0, 0
        current.append((s, t))
        s_used += len(s) + 1
        t_used += len(t) + 1
    bins.append(current)
    n = len(bins)
    source, inputs, labels = (torch.full((n, rows), PAD) for _ in range(3))
    source_positions, target_positions = torch.zeros(n, rows, dtype=torch.long), torch.zeros(n, rows, dtype=torch.long)
    source_segment, target_segment = torch.full((n, rows), -1), torch.full((n, rows), -2)
    for b, sentences in enumerate(bins):
        i = j = 0
        for k, (s, t) in enumerate(sentences):
            m, l = len(s) + 1, len(t) + 1
            source[b, i : i + m] = torch.tensor(s + [0])
            source_positions[b, i : i + m] = torch.arange(m)
            source_segment[b, i : i + m] = k
            inputs[b, j + 1 : j + l] = torch.tensor(t)
            labels[b, j : j + l] = torch.tensor(t + [0])
            target_positions[b, j : j + l] = torch.arange(l)
            target_segment[b, j : j + l] = k
            i, j = i + m, j + l
    same = lambda a, b: (a[:, :, None] == b[:, None, :])[:, None]
    eye = torch.eye(rows, dtype=torch.bool)
    causal = torch.ones(rows, rows, dtype=torch.bool).tril()
    cross = same(target_segment, source_segment)
    cross = cross | ~cross.any(-1, keepdim=True)  # unused rows attend anywhere: finite, without weight
    return [{"source": source, "inputs": inputs, "labels": labels, "source_positions": source_positions,
             "target_positions": target_positions, "source_mask": same(source_segment, source_segment) | eye,
             "target_mask": (same(target_segment, target_segment) & causal) | eye, "cross_mask": cross}]


class Peer:
    def __init__(self, options, arrays, updates, form, compiled):
        self.model = Model(arrays["Wemb"].shape[0], **options)
        self.model.load(arrays)
        self.form = form
        self.updates = [padded_update(u) if form == "padded" else packed_update(u) for u in updates]
        self.forward = torch.compile(self.model, dynamic=form == "padded") if compiled else self.model
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9, fused=True)
        self.next = 0

    def loss(self):
        self.model.eval()
        with torch.no_grad():
            labels = sum(int((b["labels"] != PAD).sum()) for b in self.updates[0])
            total = sum(float(self.model(b, 0.0)) for b in self.updates[0])
        self.model.train()
        return total / labels

    def run(self, count):
        start = time.perf_counter()
        for _ in range(count):
            batches = self.updates[self.next % len(self.updates)]
            self.next += 1
            tokens = sum(int((b["labels"] != PAD).sum()) for b in batches)
            self.optimizer.zero_grad(set_to_none=True)
            for batch in batches:
                (self.forward(batch, 0.1) / tokens).backward()
            self.optimizer.step()
        return time.perf_counter() - start


class Bough:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit("train_speed: bough-train-speed did not start")

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def run(self, count):
        return self.ask(f"run {count}")


def main():
    program, work, result_path, name, threads = sys.argv[1:6]
    extra = sys.argv[6:]
    options = {"d": 0, "ffn": 0, "heads": 0, "encoder": 0, "decoder": 0, "dropout": 0.0}
    keys = {"--dim-emb": "d", "--transformer-dim-ffn": "ffn", "--transformer-heads": "heads",
            "--enc-depth": "encoder", "--dec-depth": "decoder", "--transformer-dropout": "dropout"}
    for key, value in zip(extra, extra[1:]):
        if key in keys:
            options[keys[key]] = type(options[keys[key]])(value)
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    ours = Bough([program, f"{work}/batches.txt", "--model", f"{work}/start.npz", "--cpu-threads", threads, *extra])
    arrays = np.load(f"{work}/start.npz")
    updates = read_updates(f"{work}/batches.txt")
    tokens = statistics.mean(sum(len(t) + 1 for _, t in u) for u in updates)
    peers = {f"{'compile' if c else 'eager'} {form}": Peer(options, arrays, updates, form, c)
             for form in ("padded", "packed") for c in (False, True)}

    reference = ours.ask("loss")
    for peer_name, peer in peers.items():
        difference = abs(peer.loss() - reference) / reference
        print(f"first loss, bough {reference:.6f}, {peer_name} differs by {difference:.1e}", flush=True)
        if not difference < 1e-5:
            sys.exit("train_speed: the models are not the same")

    block, rounds = 4, 5
    ours.run(len(updates))
    for peer_name, peer in peers.items():
        start = time.perf_counter()
        peer.run(len(updates))  # warm up on every shape
        print(f"{peer_name}: warmed up in {time.perf_counter() - start:.0f} s", flush=True)
    seconds = {key: [] for key in ["bough", *peers]}
    ours_times = {key: [] for key in peers}
    for _ in range(rounds):
        for peer_name, peer in peers.items():
            t = ours.run(block)
            ours_times[peer_name].append(t)
            seconds["bough"].append(t)
            seconds[peer_name].append(peer.run(block))
    before = ours.ask("flops")
    ours.run(1)
    flops = ours.ask("flops") - before
    gemm = ours.ask("gemm")
    speed = {key: block * tokens / statistics.median(times) for key, times in seconds.items()}
    ratio = {key: statistics.median(b / a for a, b in zip(ours_times[key], seconds[key])) for key in peers}
    result = {
        "model": name, "threads": int(threads), "torch": torch.__version__,
        "target_tokens_per_update": tokens, "tokens_per_second": {k: round(v, 1) for k, v in speed.items()},
        "bough_times_faster_than": {k: round(v, 3) for k, v in ratio.items()},
        "gemm_gflops": gemm, "bough_gflops": round(flops * speed["bough"] / tokens * 1e-9, 1),
        "peak_rss_mib": round(ours.ask("memory") / 1024),
    }
    print(json.dumps(result, indent=1))
    with open(result_path, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


main()
