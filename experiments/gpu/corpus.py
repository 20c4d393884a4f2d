"""A corpus for measuring speed: words without meaning, in sentences as long as those of translation data.

Lengths are lognormal with mean 30 tokens and E[L^2] / E[L] = 42.8 (news with 32,000 pieces), words of a frequency
of about 1 / rank, one word a token: the work of an update depends on lengths and, in the embedding's gradient, on how
often words repeat; on nothing else of a text.
"""
import math
import os
import random

SIGMA, MU = 0.596, 3.2235


def write(folder, pairs, vocabulary, longest):
    """Writes train.src, train.trg and vocab.yml; lengths are at most `longest`, end of sentence included."""
    os.makedirs(folder, exist_ok=True)
    draw = random.Random(1)

    def sentence(length):
        return " ".join(f"w{2 + int((vocabulary - 2) ** draw.random()) - 1}" for _ in range(length))

    def words(length):
        return max(1, min(longest, round(length)) - 1)

    with open(f"{folder}/train.src", "w") as source, open(f"{folder}/train.trg", "w") as target:
        for _ in range(pairs):
            length = math.exp(draw.gauss(MU, SIGMA))
            source.write(sentence(words(length)) + "\n")
            target.write(sentence(words(length * math.exp(draw.gauss(0, 0.2)))) + "\n")
    with open(f"{folder}/vocab.yml", "w") as file:
        file.write('"</s>": 0\n"<unk>": 1\n')
        for i in range(2, vocabulary):
            file.write(f"w{i}: {i}\n")
