"""CTranslate2 and Hugging Face Transformers as readers of a model: translate pieces, and score them."""
import json
import os

import ctranslate2
import torch
import transformers

BEAM, LONGEST, BATCH = 4, 200, 32


def batches(count, length):
    order = sorted(range(count), key=length)
    for start in range(0, count, BATCH):
        yield order[start:start + BATCH]


class CTranslate2:
    """A folder that ct2-marian-converter wrote. epsilon: of layer norms, theirs if None."""

    def __init__(self, folder, epsilon=None):
        path = os.path.join(folder, "config.json")
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        config["layer_norm_epsilon"] = epsilon
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        self.translator = ctranslate2.Translator(folder, device="cpu", compute_type="float32", intra_threads=1)

    def translate(self, sources):
        return [result.hypotheses[0] for result in self.translator.translate_batch(
            sources, beam_size=BEAM, length_penalty=1, max_decoding_length=LONGEST, disable_unk=True, max_batch_size=BATCH)]

    def score(self, sources, targets):
        return [sum(result.log_probs) for result in self.translator.score_batch(sources, targets, max_batch_size=BATCH)]


class HuggingFace:
    """A folder that hugging_face.py wrote."""

    def __init__(self, folder, epsilon=None):
        torch.set_num_threads(1)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
        for module in self.model.modules():
            if epsilon is not None and isinstance(module, torch.nn.LayerNorm):
                module.eps = epsilon
        self.end, self.padding = self.model.config.eos_token_id, self.model.config.pad_token_id

    def ids(self, lines):
        rows = [[*self.tokenizer.convert_tokens_to_ids(line), self.end] for line in lines]
        longest = max(map(len, rows))
        return torch.tensor([row + [self.padding] * (longest - len(row)) for row in rows])

    def translate(self, sources):
        found = [None] * len(sources)
        for batch in batches(len(sources), lambda i: len(sources[i])):
            ids = self.ids([sources[i] for i in batch])
            with torch.inference_mode():
                rows = self.model.generate(ids, attention_mask=ids != self.padding, num_beams=BEAM, length_penalty=1.0,
                                           max_length=LONGEST)
            for i, row in zip(batch, rows.tolist()):
                row = row[1:]  # behind the start
                end = row.index(self.end) if self.end in row else len(row)
                found[i] = self.tokenizer.convert_ids_to_tokens(row[:end])
        return found

    def score(self, sources, targets):
        found = [None] * len(sources)
        for batch in batches(len(sources), lambda i: len(targets[i])):
            ids, wanted = self.ids([sources[i] for i in batch]), self.ids([targets[i] for i in batch])
            history = torch.cat([torch.full((len(batch), 1), self.padding), wanted[:, :-1]], 1)
            with torch.inference_mode():
                logits = self.model(input_ids=ids, attention_mask=ids != self.padding, decoder_input_ids=history).logits
                scores = logits.log_softmax(-1).gather(2, wanted[..., None])[..., 0]
            sums = scores.masked_fill(wanted == self.padding, 0).sum(1)
            for i, value in zip(batch, sums.tolist()):
                found[i] = value
        return found

    def save(self, folder):
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def versions():
    return {"ctranslate2": ctranslate2.__version__, "torch": torch.__version__, "transformers": transformers.__version__}
