"""The peers' forms of a batch, and the attention that goes with each.

A batch is a dict of tensors: source, inputs, labels (ids, PAD where there is none), positions of both sides, and
where rows may attend. dense: (B, rows, ...), where = (mask or None, is_causal). varlen: (rows, ...), where =
(borders of queries, of keys, longest query, longest key, is_causal); sentences one after another, nothing padded.
"""
import inspect
import random

import torch
import torch.nn.functional as F

from transformer import PAD

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # PyTorch before 2.10
    varlen_attn = None


# ---- attention

def dense(q, k, v, where):
    mask, is_causal = where
    y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask,
                                       is_causal=is_causal)
    return y.transpose(1, 2)


def causal_arguments():
    """How varlen_attn is told to be causal: PyTorch 2.11 replaced the flag by a window."""
    has_flag = varlen_attn is not None and "is_causal" in inspect.signature(varlen_attn).parameters
    return {"is_causal": True} if has_flag else {"window_size": (-1, 0)}


CAUSAL = causal_arguments()


def varlen(q, k, v, where):
    """PyTorch's FlashAttention over packed sentences; where there is no GPU, the same by a mask."""
    borders_q, borders_k, longest_q, longest_k, is_causal = where
    if q.device.type == "cpu":
        return masked(q, k, v, borders_q, borders_k, is_causal)
    return varlen_attn(q, k, v, borders_q, borders_k, longest_q, longest_k, **(CAUSAL if is_causal else {}))


def masked(q, k, v, borders_q, borders_k, is_causal):
    rows_q = torch.arange(q.shape[0], dtype=borders_q.dtype, device=q.device)
    rows_k = torch.arange(k.shape[0], dtype=borders_k.dtype, device=q.device)
    sentence = lambda borders, rows: torch.bucketize(rows, borders[1:], right=True)
    mask = sentence(borders_q, rows_q)[:, None] == sentence(borders_k, rows_k)[None, :]
    if is_causal:
        mask = mask & (rows_k[None, :] <= rows_q[:, None])
    y = F.scaled_dot_product_attention(*(t.transpose(0, 1)[None] for t in (q, k, v)), attn_mask=mask)
    return y[0].transpose(0, 1)


# ---- batches

def round_up(n, multiple):
    return -(-n // multiple) * multiple


def padded(pairs, multiple=1):
    """One rectangle a side, as long as the longest sentence (rounded up to `multiple`)."""
    source = round_up(max(len(s) for s, _ in pairs) + 1, multiple)
    target = round_up(max(len(t) for _, t in pairs) + 1, multiple)
    n = len(pairs)
    ids = torch.full((n, source), PAD)
    inputs, labels = torch.full((n, target), PAD), torch.full((n, target), PAD)
    for i, (s, t) in enumerate(pairs):
        ids[i, : len(s) + 1] = torch.tensor(s + [0])
        inputs[i, 1 : len(t) + 1] = torch.tensor(t)
        labels[i, : len(t) + 1] = torch.tensor(t + [0])
    used = (ids != PAD)[:, None, None, :]
    # Padding stands behind a sentence, where causal attention does not see it.
    return {"source": ids, "inputs": inputs, "labels": labels,
            "source_positions": torch.arange(source).expand(n, -1),
            "target_positions": torch.arange(target).expand(n, -1),
            "source_where": (used, False), "target_where": (None, True), "cross_where": (used, False)}


def length_of(pair):
    return max(len(pair[0]), len(pair[1]))


def padded_by_length(pairs, parts=8):
    """An update as length-sorted batches of about an eighth of it each."""
    pairs = sorted(pairs, key=lambda p: (len(p[1]), len(p[0])))
    return [padded(part) for part in cut(pairs, parts)]


def cut(pairs, parts):
    """Consecutive parts of about the same number of target tokens."""
    budget = sum(len(t) + 1 for _, t in pairs) / parts
    pieces, current, tokens = [], [], 0
    for pair in pairs:
        current.append(pair)
        tokens += len(pair[1]) + 1
        if tokens >= budget * (len(pieces) + 1) - 1e-6:
            pieces.append(current)
            current = []
    if current:
        pieces.append(current)
    return pieces


def resorted(updates):
    """The same sentences in as many updates of the same size, each of sentences of like length: what is done
    where batches are padded."""
    pairs = sorted((p for u in updates for p in u), key=length_of)
    again = cut(pairs, len(updates))
    random.Random(1).shuffle(again)
    return again


def packed_rectangles(pairs, rows=256):
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
             "target_positions": target_positions, "source_where": (same(source_segment, source_segment) | eye, False),
             "target_where": ((same(target_segment, target_segment) & causal) | eye, False),
             "cross_where": (cross, False)}]


def packed(updates):
    """A batch an update, all of one shape, so that nothing is compiled twice and nothing waits for a length: rows up
    to the largest update's, rounded up to 128, in sentences up to the longest. The rows behind an update's last
    sentence form sentences of their own, without labels."""
    sides = [[[len(p[side]) + 1 for p in u] for u in updates] for side in (0, 1)]
    rows = [round_up(max(map(sum, side)), 128) for side in sides]
    longest = [max(map(max, side)) for side in sides]
    tails = [max(-(-(rows[i] - sum(sides[i][u])) // longest[i]) for i in (0, 1)) for u in range(len(updates))]
    sentences = max(len(u) + tail for u, tail in zip(updates, tails))
    return [packed_batch(u, rows, longest, sentences) for u in updates]


def packed_batch(pairs, rows, longest, sentences):
    borders, positions = [], []
    for side in (0, 1):
        lengths = [len(p[side]) + 1 for p in pairs]
        left, tails = rows[side] - sum(lengths), sentences - len(pairs)
        lengths += [left // tails + (i < left % tails) for i in range(tails)] if tails else []
        borders.append(torch.tensor([0, *lengths]).cumsum(0).to(torch.int32))
        positions.append(torch.cat([torch.arange(n) for n in lengths]))
    source = torch.full((rows[0],), PAD)
    inputs, labels = torch.full((rows[1],), PAD), torch.full((rows[1],), PAD)
    ids = [i for s, _ in pairs for i in s + [0]]
    source[: len(ids)] = torch.tensor(ids)
    ids = [i for _, t in pairs for i in [PAD] + t]
    inputs[: len(ids)] = torch.tensor(ids)
    ids = [i for _, t in pairs for i in t + [0]]
    labels[: len(ids)] = torch.tensor(ids)
    where = lambda q, k, is_causal: (borders[q], borders[k], longest[q], longest[k], is_causal)
    return {"source": source, "inputs": inputs, "labels": labels, "source_positions": positions[0],
            "target_positions": positions[1], "source_where": where(0, 0, False), "target_where": where(1, 1, True),
            "cross_where": where(1, 0, False)}


def labels_of(batch):
    return int((batch["labels"] != PAD).sum())


def fill(batches):
    """Share of target rows that are tokens."""
    return sum(map(labels_of, batches)) / sum(b["labels"].numel() for b in batches)


def move(item, f):
    """A batch with f applied to its tensors."""
    if isinstance(item, torch.Tensor):
        return f(item)
    if isinstance(item, dict):
        return {key: move(value, f) for key, value in item.items()}
    return tuple(move(value, f) for value in item) if isinstance(item, tuple) else item
