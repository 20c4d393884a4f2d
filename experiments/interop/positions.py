#!/usr/bin/env python3
"""Marian's sinusoids as an array, for readers that compute others. With the standard library alone.

Usage: positions.py MODEL.npz WITH_POSITIONS.npz   adds them as Wpos, which CTranslate2's converter takes in place of its own
"""
import array
import math
import sys

import npz

LENGTH = 2048  # positions; CTranslate2's own table has as many


def table(length, width):
    """PE[p, j] = sin(p w_j), j < d/2, then cos of the same; w_j = 10000^(-j / (d/2 - 1)). Others divide j by d/2."""
    half = width // 2
    step = math.log(10000) / (half - 1) if half > 1 else 0
    rates = [math.exp(-j * step) for j in range(half)]
    numbers = array.array("f")
    for position in range(length):
        for wave in math.sin, math.cos:
            numbers.extend(wave(position * rate) for rate in rates)
    return "<f4", (length, width), numbers.tobytes()


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__)
    try:
        arrays = npz.read(arguments[0])
        if "Wpos" in arrays:
            raise ValueError(f"'{arguments[0]}' has learned positions, Wpos; its readers need no others.")
        arrays["Wpos"] = table(LENGTH, int(npz.settings(arrays[npz.SETTINGS])["dim-emb"]))
        npz.write(arguments[1], dict(sorted(arrays.items())))
    except (ValueError, OSError) as error:
        sys.exit(f"positions: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
