"""The peer: Marian's Post-LN Transformer written in PyTorch the plain way, with bough's parameters."""
import math

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
    """Projections around attend(q, k, v, where); q, k, v: (..., rows, heads, head width)."""

    def __init__(self, d, heads, attend, is_cross):
        super().__init__()
        self.heads, self.attend, self.is_cross = heads, attend, is_cross
        self.q = nn.Linear(d, d if is_cross else 3 * d)  # self-attention: q, k and v in one product
        self.kv = nn.Linear(d, 2 * d) if is_cross else None
        self.o = nn.Linear(d, d)

    def forward(self, x, memory, where):
        split = lambda y, parts: y.unflatten(-1, (parts, self.heads, -1)).unbind(-3)
        if self.is_cross:
            (q,), (k, v) = split(self.q(x), 1), split(self.kv(memory), 2)
        else:
            q, k, v = split(self.q(x), 3)
        return self.o(self.attend(q, k, v, where).flatten(-2))


class Layer(nn.Module):
    def __init__(self, d, ffn, heads, dropout, attend, has_cross):
        super().__init__()
        self.attention = Attention(d, heads, attend, False)
        self.cross = Attention(d, heads, attend, True) if has_cross else None
        self.ffn1, self.ffn2 = nn.Linear(d, ffn), nn.Linear(ffn, d)
        self.norms = nn.ModuleList(nn.LayerNorm(d, eps=1e-6) for _ in range(3 if has_cross else 2))
        self.dropout = dropout

    def forward(self, x, where, memory=None, cross_where=None):
        def add(norm, x, y):  # the residual stream keeps its type: autocast makes LayerNorm f32
            return norm(x + F.dropout(y, self.dropout, self.training)).to(x.dtype)

        x = add(self.norms[0], x, self.attention(x, x, where))
        if self.cross is not None:
            x = add(self.norms[1], x, self.cross(x, memory, cross_where))
        return add(self.norms[-1], x, self.ffn2(F.relu(self.ffn1(x))))


class Model(nn.Module):
    """Zero start embedding, embeddings times sqrt(d), tied output with a bias.

    attend: dense or varlen of batches.py. stream: type of the residual stream.
    """

    def __init__(self, vocabulary, d, ffn, heads, encoder, decoder, dropout, attend, stream=torch.float32):
        super().__init__()
        self.stream = stream
        self.table = nn.Parameter(torch.empty(vocabulary, d))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.register_buffer("positions", sinusoids(512, d))
        self.encoder = nn.ModuleList(Layer(d, ffn, heads, dropout, attend, False) for _ in range(encoder))
        self.decoder = nn.ModuleList(Layer(d, ffn, heads, dropout, attend, True) for _ in range(decoder))
        self.dropout, self.scale = dropout, math.sqrt(d)

    def embed(self, ids, positions):
        x = F.embedding(ids.clamp(min=0), self.table) * (self.scale * (ids >= 0).unsqueeze(-1))
        return F.dropout(x + self.positions[positions], self.dropout, self.training).to(self.stream)

    def head(self, y, labels, smoothing):
        logits = F.linear(y, self.table, self.bias)
        return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=PAD, reduction="sum",
                               label_smoothing=smoothing)

    def forward(self, batch, smoothing):
        """The sum of the cross-entropy of all labels, in nats."""
        x = self.embed(batch["source"], batch["source_positions"])
        for layer in self.encoder:
            x = layer(x, batch["source_where"])
        y = self.embed(batch["inputs"], batch["target_positions"])
        for layer in self.decoder:
            y = layer(y, batch["target_where"], x, batch["cross_where"])
        return self.head(y, batch["labels"], smoothing)

    def compile_regions(self, dynamic, mode):
        """Compiles a layer once for all layers of its kind, and what stands around them."""
        for layer in [*self.encoder, *self.decoder]:
            layer.compile(dynamic=dynamic, mode=mode)
        self.embed = torch.compile(self.embed, dynamic=dynamic, mode=mode)
        self.head = torch.compile(self.head, dynamic=dynamic, mode=mode)

    def load(self, arrays):
        """bough's parameters (Marian's names; matrices are (in, out))."""
        get = lambda name: torch.tensor(arrays[name])

        def linear(module, prefix, suffixes):
            module.weight.data.copy_(torch.cat([get(f"{prefix}W{s}").T for s in suffixes]))
            module.bias.data.copy_(torch.cat([get(f"{prefix}b{s}").flatten() for s in suffixes]))

        def attention(module, prefix):
            linear(module.q, prefix, "q" if module.is_cross else "qkv")
            if module.is_cross:
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
