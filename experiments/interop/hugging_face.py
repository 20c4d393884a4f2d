#!/usr/bin/env python3
"""A model of bough (or Marian) as a folder that Hugging Face's MarianMTModel and MarianTokenizer read, and back. With the
standard library alone.

Parameters are f32 on both sides, those of 16 bits are widened.

Usage: hugging_face.py to MODEL.npz VOCAB.spm FOLDER [as-theirs]
       hugging_face.py from FOLDER MODEL.npz [VOCAB.yml]

The model must be a plain Post-LN Transformer with tied-embeddings-all (bough-average --export makes one). Two things are
other than Hugging Face's own converter has them, and as-theirs has them its way: the folder brings Marian's sinusoids,
which Hugging Face would compute otherwise; and padding, which Marian's vocabulary lacks, gets no probability, where logit 0
would give it some. The way back leaves both aside.
"""
import json
import os
import shutil
import struct
import sys

import npz
import pieces
import positions
import state_dict

LENGTH = 512  # positions of the folder
NEVER = -1e4  # logit of the padding; half precision has it, too
BIAS, EMBEDDING = "final_logits_bias", "model.shared.weight"
POSITIONS = [f"model.{stack}.embed_positions.weight" for stack in ("encoder", "decoder")]
TIED = ["lm_head.weight"] + [f"model.{stack}.embed_tokens.weight" for stack in ("encoder", "decoder")]
# What is so in every folder of this script; other values are another Transformer.
FIXED = {"normalize_before": False, "normalize_embedding": False, "add_final_layer_norm": False, "scale_embedding": True,
         "static_position_embeddings": True, "share_encoder_decoder_embeddings": True, "tie_word_embeddings": True}


def checked_settings(path, text):
    settings = npz.settings(text)
    for key, wanted in {"type": "transformer", "tied-embeddings-all": "true", "transformer-preprocess": "",
                        "transformer-postprocess": "dan", "transformer-train-position-embeddings": "false",
                        "right-left": "false"}.items():
        if settings.get(key, "false") != wanted:
            raise ValueError(f"'{path}': {key} is '{settings.get(key)}', must be '{wanted}'. bough-average --export makes a "
                             "plain Post-LN model where that is possible.")
    return settings


def configuration(settings, tokens):
    """Ids: one more than the vocabulary has, the padding, whose embedding is zero: Marian's start of a translation."""
    padding, end = len(tokens), tokens.index("</s>")
    size = {"encoder": int(settings["transformer-dim-ffn"])}
    size["decoder"] = int(settings.get("transformer-decoder-dim-ffn", 0)) or size["encoder"]
    ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": padding, "decoder_start_token_id": padding}
    config = {"architectures": ["MarianMTModel"], "model_type": "marian", "is_encoder_decoder": True,
              "vocab_size": padding + 1, "decoder_vocab_size": padding + 1, "d_model": int(settings["dim-emb"]),
              "encoder_layers": int(settings["enc-depth"]), "decoder_layers": int(settings["dec-depth"]),
              "activation_function": settings.get("transformer-ffn-activation", "swish"),
              "max_position_embeddings": LENGTH, **FIXED, **ids}
    for stack in "encoder", "decoder":
        config[f"{stack}_attention_heads"] = int(settings["transformer-heads"])
        config[f"{stack}_ffn_dim"] = size[stack]
    decoding = {**ids, "bad_words_ids": [[padding]] + [[tokens.index("<unk>")]] * ("<unk>" in tokens),
                "forced_eos_token_id": end, "max_length": LENGTH, "num_beams": 4}
    return config, decoding


def write_json(folder, name, content):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)


def to_folder(model, vocabulary, folder, as_theirs):
    arrays = npz.read(model)
    settings = checked_settings(model, arrays[npz.SETTINGS])
    tokens = pieces.pieces(vocabulary)
    state = state_dict.widened(state_dict.to_torch(arrays))
    kind, (rows, width), data = state[EMBEDDING]
    if rows != len(tokens):
        raise ValueError(f"'{vocabulary}' has {len(tokens)} pieces, must have {rows}, as '{model}'. Give the model's vocabulary.")
    state[EMBEDDING] = kind, (rows + 1, width), data + bytes(4 * width)
    bias = state.get(BIAS, (kind, (1, rows), bytes(4 * rows)))[2]
    state[BIAS] = kind, (1, rows + 1), bias + struct.pack("<f", 0 if as_theirs else NEVER)
    if not as_theirs:
        state |= dict.fromkeys(POSITIONS, positions.table(LENGTH, width))
    os.makedirs(folder, exist_ok=True)
    state_dict.write_safetensors(os.path.join(folder, "model.safetensors"), state, {})
    config, decoding = configuration(settings, tokens)
    write_json(folder, "config.json", config)
    write_json(folder, "generation_config.json", decoding)
    write_json(folder, "vocab.json", {**{token: i for i, token in enumerate(tokens)}, "<pad>": rows})
    write_json(folder, "tokenizer_config.json", {"tokenizer_class": "MarianTokenizer", "model_max_length": LENGTH,
                                                 "source_lang": "", "target_lang": ""})
    for side in "source", "target":
        shutil.copy(vocabulary, os.path.join(folder, f"{side}.spm"))


def settings_text(config, entries, has_bias):
    """special:model.yml of a folder's config.json."""
    def text(value):
        return str(value).lower() if isinstance(value, bool) else str(value)

    rows = {"type": "transformer", "dim-emb": config["d_model"], "enc-depth": config["encoder_layers"],
            "dec-depth": config["decoder_layers"], "transformer-heads": config["encoder_attention_heads"],
            "transformer-dim-ffn": config["encoder_ffn_dim"], "transformer-decoder-dim-ffn": config["decoder_ffn_dim"],
            "transformer-ffn-activation": {"silu": "swish"}.get(config["activation_function"], config["activation_function"]),
            "tied-embeddings-all": True, "output-omit-bias": not has_bias, "transformer-preprocess": '""',
            "transformer-postprocess": "dan", "transformer-postprocess-emb": "d", "transformer-postprocess-top": '""',
            "transformer-decoder-autoreg": "self-attention", "transformer-no-projection": False,
            "transformer-guided-alignment-layer": "last", "dim-vocabs": f"[{entries}, {entries}]"}
    return "".join(f"{key}: {text(value)}\n" for key, value in rows.items())


def from_folder(folder, model, vocabulary):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    for key, wanted in FIXED.items():
        if config.get(key, wanted) != wanted:
            raise ValueError(f"'{folder}': {key} is {config[key]}, must be {wanted}. This is another Transformer than bough's.")
    state = state_dict.widened(state_dict.read_safetensors(os.path.join(folder, "model.safetensors"))[0])
    for tied in TIED + POSITIONS:
        if tied in TIED and EMBEDDING not in state and tied in state:
            state[EMBEDDING] = state[tied]
        state.pop(tied, None)
    if EMBEDDING not in state:
        raise ValueError(f"'{folder}': model.safetensors has no '{EMBEDDING}'. This is no model of MarianMTModel.")
    kind, (rows, width), data = state[EMBEDDING]
    if config["pad_token_id"] != rows - 1:
        raise ValueError(f"'{folder}': pad_token_id is {config['pad_token_id']}, must be the last id, {rows - 1}. "
                         "Marian has no padding in its vocabulary.")
    state[EMBEDDING] = kind, (rows - 1, width), data[:-4 * width]
    if BIAS in state:
        state[BIAS] = kind, (1, rows - 1), state[BIAS][2][:-4]
    arrays = state_dict.from_torch(state)
    arrays[npz.SETTINGS] = settings_text(config, rows - 1, BIAS in state)
    npz.write(model, dict(sorted(arrays.items())))
    if vocabulary:
        with open(os.path.join(folder, "vocab.json"), encoding="utf-8") as file:
            ids = sorted(json.load(file).items(), key=lambda item: item[1])
        with open(vocabulary, "w", encoding="utf-8") as file:
            for token, number in ids[:rows - 1]:
                file.write(f"{json.dumps(token, ensure_ascii=False)}: {number}\n")


def main(arguments):
    try:
        if len(arguments) in (4, 5) and arguments[0] == "to" and arguments[4:] in ([], ["as-theirs"]):
            to_folder(*arguments[1:4], as_theirs=len(arguments) == 5)
        elif len(arguments) in (3, 4) and arguments[0] == "from":
            from_folder(arguments[1], arguments[2], arguments[3] if len(arguments) == 4 else None)
        else:
            sys.exit(__doc__)
    except KeyError as error:
        sys.exit(f"hugging_face: config.json or the model's settings lack {error}. Give a model of MarianMTModel or of bough.")
    except (ValueError, OSError) as error:
        sys.exit(f"hugging_face: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
