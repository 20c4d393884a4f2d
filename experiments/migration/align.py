#!/usr/bin/env python3
"""IBM model 1 in both directions, three rounds: the points that both have, in Pharaoh's format. Stands in for a real aligner
on small corpora. Usage: align.py SOURCE TARGET >ALIGNMENTS"""
import sys
from collections import defaultdict

ROUNDS = 3


def read(path):
    with open(path, encoding="utf-8") as file:
        return [line.split() for line in file]


def best_points(sources, targets):
    """For each pair {target position: source position}, p(target word | source word) from expectation maximisation."""
    p = defaultdict(lambda: 1.0)
    for _ in range(ROUNDS):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in zip(sources, targets):
            for t in target:
                whole = sum(p[s, t] for s in source)
                for s in source:
                    share = p[s, t] / whole
                    counts[s, t] += share
                    totals[s] += share
        p = defaultdict(float, {(s, t): count / totals[s] for (s, t), count in counts.items()})
    return [{j: max(range(len(source)), key=lambda i: p[source[i], t]) for j, t in enumerate(target)}
            for source, target in zip(sources, targets)]


def main():
    sources, targets = map(read, sys.argv[1:3])
    for forward, backward in zip(best_points(sources, targets), best_points(targets, sources)):
        both = {(i, j) for j, i in forward.items()} & {(i, j) for i, j in backward.items()}
        print(" ".join(f"{i}-{j}" for i, j in sorted(both)))


main()
