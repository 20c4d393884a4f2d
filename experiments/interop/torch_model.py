#!/usr/bin/env python3
"""A plain PyTorch module that takes the state dict of state_dict.py: Post-LN, tied embeddings, relu, Marian's sinusoids.

Usage: torch_model.py STATE.safetensors VOCAB.spm SOURCE TARGET   prints the log-probability of each line of TARGET
"""
import math
import sys

import npz
import sentencepiece
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import relu

EPSILON = 1e-6


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, memory, is_causal=False):
        q, k, v = (layer(y).unflatten(-1, (self.heads, -1)).transpose(0, 1)
                   for layer, y in ((self.q_proj, x), (self.k_proj, memory), (self.v_proj, memory)))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
        return self.out_proj(mixed.transpose(0, 1).flatten(1))


class Layer(nn.Module):
    def __init__(self, width, inner, heads, is_decoder):
        super().__init__()
        self.self_attn, self.self_attn_layer_norm = Attention(width, heads), nn.LayerNorm(width, EPSILON)
        if is_decoder:
            self.encoder_attn, self.encoder_attn_layer_norm = Attention(width, heads), nn.LayerNorm(width, EPSILON)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width, EPSILON)

    def forward(self, x, memory=None):
        x = self.self_attn_layer_norm(x + self.self_attn(x, x, is_causal=memory is not None))
        if memory is not None:
            x = self.encoder_attn_layer_norm(x + self.encoder_attn(x, memory))
        return self.final_layer_norm(x + self.fc2(relu(self.fc1(x))))


class Stack(nn.Module):
    def __init__(self, depth, *layer):
        super().__init__()
        self.layers = nn.ModuleList(Layer(*layer) for _ in range(depth))

    def forward(self, x, memory=None):
        for layer in self.layers:
            x = layer(x, memory)
        return x


def sinusoids(length, width):
    half = width // 2
    angles = torch.arange(length)[:, None] * torch.exp(-torch.arange(half) * math.log(10000) / (half - 1))
    return torch.cat([angles.sin(), angles.cos()], 1)


class Transformer(nn.Module):
    """Sizes are those of the state dict; sentences are not batched."""

    def __init__(self, state, heads):
        super().__init__()
        entries, width = state["model.shared.weight"].shape
        self.model = nn.Module()
        self.model.shared = nn.Embedding(entries, width)
        for stack in "encoder", "decoder":
            depth = 1 + max(int(name.split(".")[3]) for name in state if name.startswith(f"model.{stack}.layers."))
            inner = len(state[f"model.{stack}.layers.0.fc1.bias"])
            setattr(self.model, stack, Stack(depth, width, inner, heads, stack == "decoder"))
        self.register_buffer("final_logits_bias", torch.zeros(1, entries))
        self.load_state_dict(state)

    def forward(self, source, target):
        """Log-probability of target, both with the end of sentence."""
        width = self.model.shared.embedding_dim
        positions = sinusoids(max(len(source), len(target)), width)
        embed = [self.model.shared(ids) * math.sqrt(width) for ids in (source, target)]
        memory = self.model.encoder(embed[0] + positions[:len(source)])
        history = torch.cat([torch.zeros(1, width), embed[1][:-1]]) + positions[:len(target)]
        logits = self.model.decoder(history, memory) @ self.model.shared.weight.T + self.final_logits_bias
        return logits.log_softmax(-1).gather(1, target[:, None]).sum()


def main():
    state, vocabulary, source, target = sys.argv[1:]
    torch.set_num_threads(1)
    with safe_open(state, "pt") as file:
        settings = npz.settings(file.metadata()[npz.SETTINGS])
    model = Transformer(load_file(state), int(settings["transformer-heads"])).eval()
    processor = sentencepiece.SentencePieceProcessor(model_file=vocabulary)
    with open(source, encoding="utf-8") as sources, open(target, encoding="utf-8") as targets, torch.inference_mode():
        for pair in zip(sources, targets):
            ids = [torch.tensor(processor.encode(line.rstrip("\n")) + [processor.piece_to_id("</s>")]) for line in pair]
            print(f"{model(*ids).item():.6f}")


if __name__ == "__main__":
    main()
