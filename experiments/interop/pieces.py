#!/usr/bin/env python3
"""The pieces of a SentencePiece model, in the order of their ids. With the standard library alone.

Usage: pieces.py VOCAB.spm >VOCAB.yml   the same vocabulary as Marian's YAML, for text that is split beforehand
"""
import json
import sys


def fields(data):
    """(number, value) of a protocol buffer message: whole numbers, or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        number, wire = divmod(varint(), 8)
        if wire == 0:
            yield number, varint()
            continue
        size = {1: 8, 2: None, 5: 4}[wire]
        size = varint() if size is None else size
        yield number, data[at:at + size]
        at += size


def pieces(path):
    """Field 1 of the model is a piece, whose field 1 is its text."""
    try:
        with open(path, "rb") as file:
            found = [dict(fields(piece))[1].decode() for number, piece in fields(file.read()) if number == 1]
    except (KeyError, IndexError, UnicodeDecodeError, TypeError):
        raise ValueError(f"'{path}' is no SentencePiece model, must be the .spm that the model was trained with.") from None
    if "</s>" not in found:
        raise ValueError(f"'{path}' has no piece '</s>', must be the .spm that the model was trained with.")
    return found


def main(arguments):
    if len(arguments) != 1:
        sys.exit(__doc__)
    try:
        for number, piece in enumerate(pieces(arguments[0])):
            print(f"{json.dumps(piece, ensure_ascii=False)}: {number}")
    except (ValueError, OSError) as error:
        sys.exit(f"pieces: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
