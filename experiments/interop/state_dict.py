#!/usr/bin/env python3
"""A model of bough (or Marian) as a PyTorch state dict in a safetensors file, and back, with the standard library alone.

Usage: state_dict.py to MODEL.npz STATE.safetensors
       state_dict.py from STATE.safetensors MODEL.npz

Names are those of Hugging Face's MarianMTModel (README.md has the table), matrices [out, in], biases and norms vectors.
Parameters without a name there (omega, alpha, ...) keep theirs, and their shape. The model's settings travel in the file's
metadata, and types stay as they are, so that the way back gives the same bytes.
"""
import array
import json
import math
import os
import re
import struct
import sys

import npz

WHOLE = {  # bough's name: PyTorch's; the shape is kept
    "Wemb": "model.shared.weight",
    "encoder_Wemb": "model.encoder.embed_tokens.weight",
    "decoder_Wemb": "model.decoder.embed_tokens.weight",
    "decoder_ff_logit_out_Wt": "lm_head.weight",
    "decoder_ff_logit_out_b": "final_logits_bias",
    "Wpos": "model.positions.weight",
}
SUBLAYERS = {"self": "self_attn", "context": "encoder_attn"}
PRODUCTS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}
NORMS = {"self_Wo": "self_attn_layer_norm", "context_Wo": "encoder_attn_layer_norm", "ffn_ffn": "final_layer_norm"}
KINDS = {"W": "weight", "b": "bias", "scale": "weight", "bias": "bias"}
TYPES = {"<f4": "F32", "<f2": "F16", "<f8": "F64", "|i1": "I8"}


def torch_name(name):
    """(PyTorch's name, how the array lies there): "whole", "vector", "transposed"."""
    if name in WHOLE:
        return WHOLE[name], "whole"
    if found := re.fullmatch(r"(encoder|decoder)_top_ln_(scale|bias)", name):
        return f"model.{found[1]}.layer_norm.{KINDS[found[2]]}", "vector"
    layer = re.fullmatch(r"(encoder|decoder)_l(\d+)_(.*)", name)
    if not layer:
        return name, "whole"
    stem, rest = f"model.{layer[1]}.layers.{int(layer[2]) - 1}", layer[3]
    if found := re.fullmatch(r"(self|context)_([Wb])([qkvo])", rest):
        module = f"{SUBLAYERS[found[1]]}.{PRODUCTS[found[3]]}"
    elif found := re.fullmatch(r"ffn_()([Wb])([12])", rest):
        module = f"fc{found[3]}"
    elif found := re.fullmatch(r"(self_Wo|context_Wo|ffn_ffn)_ln_(scale|bias)(_pre|_inner|)", rest):
        return f"{stem}.{NORMS[found[1]]}{found[3]}.{KINDS[found[2]]}", "vector"
    else:
        return name, "whole"
    return f"{stem}.{module}.{KINDS[found[2]]}", "transposed" if found[2] == "W" else "vector"


def bough_name(name):
    """The name that torch_name() takes to this one."""
    reverse = {value: key for key, value in WHOLE.items()}
    if name in reverse:
        return reverse[name]
    if found := re.fullmatch(r"model\.(encoder|decoder)\.layer_norm\.(weight|bias)", name):
        return f"{found[1]}_top_ln_{'scale' if found[2] == 'weight' else 'bias'}"
    layer = re.fullmatch(r"model\.(encoder|decoder)\.layers\.(\d+)\.(.*)\.(weight|bias)", name)
    if not layer:
        return name
    stem, module, is_weight = f"{layer[1]}_l{int(layer[2]) + 1}", layer[3], layer[4] == "weight"
    for sublayer, torch_sublayer in SUBLAYERS.items():
        for product, torch_product in PRODUCTS.items():
            if module == f"{torch_sublayer}.{torch_product}":
                return f"{stem}_{sublayer}_{'W' if is_weight else 'b'}{product}"
    if found := re.fullmatch(r"fc([12])", module):
        return f"{stem}_ffn_{'W' if is_weight else 'b'}{found[1]}"
    for norm, torch_norm in NORMS.items():
        if found := re.fullmatch(torch_norm + "(_pre|_inner|)", module):
            return f"{stem}_{norm}_ln_{'scale' if is_weight else 'bias'}{found[1]}"
    return name


def transposed(kind, shape, data):
    numbers = array.array({"<f4": "f", "<f2": "H", "<f8": "d", "|i1": "b"}[kind], data)
    turned = array.array(numbers.typecode)
    for column in range(shape[1]):
        turned.extend(numbers[column::shape[1]])
    return kind, (shape[1], shape[0]), turned.tobytes()


def to_torch(arrays):
    """{PyTorch's name: array} of a model."""
    state = {}
    for name, value in arrays.items():
        if name != npz.SETTINGS:
            torch, how = torch_name(name)
            kind, shape, data = value
            state[torch] = transposed(kind, shape, data) if how == "transposed" else (
                kind, (math.prod(shape),) if how == "vector" else shape, data)
    return state


def from_torch(state):
    """The reverse of to_torch, sorted by name, as bough writes them."""
    arrays = {}
    for torch, (kind, shape, data) in state.items():
        name = bough_name(torch)
        how = torch_name(name)[1]
        arrays[name] = transposed(kind, shape, data) if how == "transposed" else (
            kind, (1, *shape) if how == "vector" else shape, data)
    return dict(sorted(arrays.items()))


def write_safetensors(path, state, metadata):
    header, offset = {"__metadata__": {"format": "pt", **metadata}}, 0
    for name, (kind, shape, data) in state.items():
        header[name] = {"dtype": TYPES[kind], "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{path}.tmp", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in state.values():
            file.write(data)
    os.replace(f"{path}.tmp", path)


def as_f32(kind, data):
    """Bytes of f32 numbers: f32 as they are, half precisions widened."""
    if kind == "F32":
        return data
    if kind == "BF16":  # the upper half of an f32
        wide = bytearray(2 * len(data))
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        return bytes(wide)
    if kind == "F16":
        return array.array("f", (number for number, in struct.iter_unpack("<e", data))).tobytes()
    raise ValueError(f"a parameter is of type {kind}, must be F32, F16 or BF16. Save the model in one of these.")


def widened(state):
    """The same with every parameter as f32."""
    return {name: ("<f4", shape, as_f32(TYPES[kind], data)) for name, (kind, shape, data) in state.items()}


def read_safetensors(path):
    """(state, metadata). bf16, which models of bough do not have, becomes f32."""
    kinds = {torch: kind for kind, torch in TYPES.items()}
    with open(path, "rb") as file:
        start = file.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else os.path.getsize(path)
        if size > os.path.getsize(path) - 8:
            raise ValueError(f"'{path}' is no safetensors file, or is cut. Write it again.")
        header, body = json.loads(file.read(size)), file.read()
    metadata = header.pop("__metadata__", {})
    state = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind, data = kinds.get(entry["dtype"]), body[begin:end]
        if kind is None:
            kind, data = "<f4", as_f32(entry["dtype"], data)
        state[name] = kind, tuple(entry["shape"]), data
        if len(data) != int(kind[2]) * math.prod(entry["shape"]):
            raise ValueError(f"'{path}': '{name}' has another size than its shape {entry['shape']}; the file is cut or "
                             "damaged. Write it again.")
    return state, metadata


def main(arguments):
    if len(arguments) != 3 or arguments[0] not in ("to", "from"):
        sys.exit(__doc__)
    try:
        if arguments[0] == "to":
            arrays = npz.read(arguments[1])
            write_safetensors(arguments[2], to_torch(arrays), {npz.SETTINGS: arrays[npz.SETTINGS]})
        else:
            state, metadata = read_safetensors(arguments[1])
            if npz.SETTINGS not in metadata:
                raise ValueError(f"'{arguments[1]}' has no '{npz.SETTINGS}' in its metadata, must come from this script. "
                                 "A folder of Hugging Face's goes through hugging_face.py.")
            arrays = from_torch(state)
            arrays[npz.SETTINGS] = metadata[npz.SETTINGS]
            npz.write(arguments[2], dict(sorted(arrays.items())))
    except (ValueError, OSError) as error:
        sys.exit(f"state_dict: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
