"""A PyTorch system that trains on bough's batches: what bough is timed beside."""
import contextlib
import time

import torch

import batches as forms
from transformer import Model

# form -> (attention, updates -> a list of batches for each update)
FORMS = {
    "padded by length": (forms.dense, lambda updates: [forms.padded_by_length(u) for u in updates]),
    "padded, sorted": (forms.dense, lambda updates: [[forms.padded(u, 8)] for u in forms.resorted(updates)]),
    "packed rectangles": (forms.dense, lambda updates: [forms.packed_rectangles(u) for u in updates]),
    "packed": (forms.varlen, lambda updates: [[b] for b in forms.packed(updates)]),
}


class Peer:
    """form: of FORMS. compiled: None, "model" (as a whole) or "regions" (layer by layer). On a GPU: bf16 autocast."""

    def __init__(self, options, arrays, updates, form, compiled=None, device="cpu", clip=0.0, mode=None):
        self.device, self.clip = torch.device(device), clip
        self.is_gpu = self.device.type == "cuda"
        attend, make = FORMS[form]
        if attend is forms.varlen and self.is_gpu and forms.varlen_attn is None:
            raise RuntimeError(f"PyTorch {torch.__version__} has no torch.nn.attention.varlen, must be 2.10 or later")
        # What a compiler fuses is kept in bf16; eager PyTorch would pay for every conversion with a kernel.
        stream = torch.bfloat16 if self.is_gpu and compiled else torch.float32
        self.model = Model(arrays["Wemb"].shape[0], **options, attend=attend, stream=stream)
        self.model.load(arrays)
        self.model.to(self.device)
        pin = (lambda t: t.contiguous().pin_memory()) if self.is_gpu else (lambda t: t)
        self.updates = [[forms.move(b, pin) for b in u] for u in make(updates)]
        self.first = [forms.move(b, pin) for b in make(updates[:1])[0]]
        self.tokens = [sum(map(forms.labels_of, u)) for u in self.updates]
        self.forward = self.model
        if compiled == "regions":
            self.model.compile_regions(dynamic=form == "padded, sorted", mode=mode)
        elif compiled == "model":
            self.forward = torch.compile(self.model, dynamic=form.startswith("padded"), mode=mode)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9, fused=True)
        self.next = 0

    def fill(self):
        return sum(map(forms.fill, self.updates)) / len(self.updates)

    def autocast(self):
        return torch.autocast("cuda", torch.bfloat16) if self.is_gpu else contextlib.nullcontext()

    def to_device(self, batch):
        return forms.move(batch, lambda t: t.to(self.device, non_blocking=True))

    def synchronize(self):
        if self.is_gpu:
            torch.cuda.synchronize()

    def loss(self):
        """Mean cross-entropy of the first update, without dropout and smoothing; nothing is compiled for it."""
        self.model.eval()
        with torch.no_grad(), self.autocast(), torch.compiler.set_stance("force_eager"):
            total = sum(float(self.model(self.to_device(b), 0.0)) for b in self.first)
        self.model.train()
        return total / sum(map(forms.labels_of, self.first))

    def update(self):
        """Returns the sum of the losses, on the device."""
        index = self.next % len(self.updates)
        self.next += 1
        self.optimizer.zero_grad(set_to_none=True)
        total = 0
        for host in self.updates[index]:
            batch = self.to_device(host)
            with self.autocast():
                loss = self.forward(batch, 0.1)
            (loss / self.tokens[index]).backward()
            total = total + loss.detach()
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return total

    def run(self, count):
        """Seconds of the next `count` updates, from an idle device to an idle device."""
        self.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            self.update()
        self.synchronize()
        return time.perf_counter() - start

    def losses(self, count):
        """Label-smoothed cross-entropy per target token of each of the next updates."""
        return [float(self.update()) / self.tokens[(self.next - 1) % len(self.updates)] for _ in range(count)]
