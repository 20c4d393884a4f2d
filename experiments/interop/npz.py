"""Model files as bough and Marian have them, read and written with the standard library alone.

An array is (type, shape, bytes): type as in npy headers ("<f4"), bytes little-endian and row-major.
"""
import ast
import os
import struct
import zipfile

SETTINGS = "special:model.yml"
HEADER_ALIGNMENT = 64  # of the data behind an npy header, as NumPy has it


def read_array(data, name):
    if data[:6] != b"\x93NUMPY":
        raise ValueError(f"array '{name}' has no npy header, must have one. Write the model again.")
    form, start = ("<H", 10) if data[6] == 1 else ("<I", 12)
    size = struct.unpack_from(form, data, 8)[0]
    header = ast.literal_eval(data[start:start + size].decode("latin-1"))
    if header["fortran_order"] and len(header["shape"]) > 1:
        raise ValueError(f"array '{name}' lies column by column, must lie row by row. Save it with NumPy's order 'C'.")
    return header["descr"], tuple(header["shape"]), data[start + size:]


def npy(array):
    kind, shape, data = array
    header = repr({"descr": kind, "fortran_order": False, "shape": shape})[:-1] + ", }"
    padding = -(10 + len(header) + 1) % HEADER_ALIGNMENT
    header = (header + " " * padding + "\n").encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def read(path):
    """{name: array}, in the order of the file; the settings are text under the name SETTINGS."""
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {name.removesuffix(".npy"): read_array(archive.read(name), name) for name in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise ValueError(f"'{path}' is no npz file, or is damaged ({error}). Give another file.") from None
    if SETTINGS not in arrays:
        raise ValueError(f"'{path}' has no '{SETTINGS}', must be a model of bough or Marian. Give another file.")
    arrays[SETTINGS] = arrays[SETTINGS][2].rstrip(b"\0").decode()
    return arrays


def write(path, arrays):
    """The bytes that bough would write for the same arrays: stored, dated 1980, as if by zip 6.3 on Unix."""
    with zipfile.ZipFile(f"{path}.tmp", "w") as archive:
        for name, array in arrays.items():
            if name == SETTINGS:
                text = array.encode() + b"\0"
                array = "|i1", (len(text),), text
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.create_system, entry.create_version, entry.extract_version = 3, 63, 10
            entry.external_attr = 0o100666 << 16
            archive.writestr(entry, npy(array))
    os.replace(f"{path}.tmp", path)


def settings(text):
    """{key: text, or list of texts} of a flat YAML file as bough and Marian write it."""
    found, key = {}, None
    for line in text.splitlines():
        if line.startswith("  - "):
            found[key].append(line[4:].strip())
        elif ":" in line:
            key, value = (part.strip() for part in line.split(":", 1))
            found[key] = value.strip('"') if value else []
    return found
