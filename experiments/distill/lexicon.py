"""A lexical shortlist: p(target piece | source piece) by IBM model 1 (Brown et al. 1993), counted from parallel text.

Usage: lexicon.py SOURCE_PIECES TARGET_PIECES OUT [BEST]
Writes lines `target source probability`, of each source piece the BEST (100) most probable, as Marian's lex.s2t.
"""
import collections
import sys

ITERATIONS = 5
NULL = ""  # stands in every source sentence: what no word of it explains comes from there


def read(path):
    with open(path, encoding="utf-8") as file:
        return [line.split() for line in file.read().split("\n")[:-1]]


def count(pairs, table):
    """Of every source piece how often it made which target piece, as far as `table` can tell; at first all are alike."""
    counts = collections.defaultdict(lambda: collections.defaultdict(float))
    for source, target in pairs:
        rows = [table[s] for s in source] if table else None
        sums = [counts[s] for s in source]
        for t in target:
            shares = [row[t] for row in rows] if rows else [1.0] * len(source)
            scale = 1 / sum(shares)
            for into, share in zip(sums, shares):
                into[t] += share * scale
    return counts


def main(source_path, target_path, out, best="100"):
    source, target = read(source_path), read(target_path)
    if len(source) != len(target):
        sys.exit(f"lexicon.py: {len(source)} and {len(target)} lines, must be as many")
    pairs = [([NULL, *s], t) for s, t in zip(source, target)]
    table = None
    for _ in range(ITERATIONS):
        table = count(pairs, table)
        for row in table.values():
            total = sum(row.values())
            for t in row:
                row[t] /= total
    table.pop(NULL)
    with open(out, "w", encoding="utf-8") as file:
        for s, row in sorted(table.items()):
            for t, p in sorted(row.items(), key=lambda item: (-item[1], item[0]))[:int(best)]:
                file.write(f"{t} {s} {p:.6g}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
