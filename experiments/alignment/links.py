"""Word alignments in Pharaoh's format: makes one of both directions, and compares with it.

links.py common FORWARD BACKWARD COUNT  prints the points that both have, of the first COUNT lines
links.py compare FORWARD BACKWARD FIRST LINES SOURCE TARGET
    compares the alignments that bough-score printed (score ||| alignment) with those of lines FIRST .. of the aligner
    and prints a JSON object. Sure points: those of both directions; possible ones: of any. Ends of sentence do not count.
"""
import json
import sys
from itertools import islice


def points(text):
    return {tuple(map(int, point.split("-"))) for point in text.split()}


def read(path, first=0, count=None):
    with open(path, encoding="utf-8") as lines:
        return [points(line) for line in islice(lines, first, None if count is None else first + count)]


def common(forward, backward, count):
    for a, b in zip(read(forward, 0, count), read(backward, 0, count)):
        print(" ".join(f"{s}-{t}" for s, t in sorted(a & b)))


def compare(forward, backward, first, lines, source, target):
    found_in_sure = found_in_possible = found_points = sure_points = 0
    with open(lines, encoding="utf-8") as scored, open(source, encoding="utf-8") as sources, \
            open(target, encoding="utf-8") as targets:
        for a, b, line, s, t in zip(read(forward, first), read(backward, first), scored, sources, targets, strict=True):
            ends = len(s.split()), len(t.split())
            found = {p for p in points(line.split(" ||| ")[1]) if p[0] < ends[0] and p[1] < ends[1]}
            found_in_sure += len(found & a & b)
            found_in_possible += len(found & (a | b))
            found_points += len(found)
            sure_points += len(a & b)
    print(json.dumps({
        "alignment_error_rate": round(1 - (found_in_sure + found_in_possible) / (found_points + sure_points), 4),
        "precision": round(found_in_possible / found_points, 4),
        "recall": round(found_in_sure / sure_points, 4),
    }))


if sys.argv[1] == "common":
    common(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    compare(sys.argv[2], sys.argv[3], int(sys.argv[4]), *sys.argv[5:])
