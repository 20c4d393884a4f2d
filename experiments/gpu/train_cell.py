"""One cell of the training grid: bough beside PyTorch on one model, batch size, parameters and batches.

train_cell.py SPEC.json RESULT.json; speed.py writes the spec. RESULT.json is written again after every system, so that
a run that is cut short keeps what it has. Without peers PyTorch is not needed.
"""
import gc
import json
import math
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "speed"))
from bough import Bough, Failed, read_updates, source_tokens, target_tokens
from side_by_side import interleave, ratio, summary

# name -> (form of batches, compiled), see peer.py
PEERS = {"eager": ("padded, sorted", None), "compiled": ("padded, sorted", "regions"), "packed": ("packed", "regions")}


class Cell:
    def __init__(self, spec, result_path):
        self.spec, self.result_path = spec, result_path
        self.deadline = time.monotonic() + spec["seconds"]
        self.result = {"peers": {}}
        self.ours = None
        self.own_seconds = []

    def save(self):
        with open(self.result_path + ".new", "w") as file:
            json.dump(self.result, file)
        os.replace(self.result_path + ".new", self.result_path)

    def start_bough(self, **changed):
        options = list(self.spec["options"])
        for key, value in changed.items():
            at = options.index("--" + key.replace("_", "-"))
            options[at + 1] = value
        work = self.spec["work"]
        env = {**os.environ, "LD_LIBRARY_PATH": self.spec["library_path"]}  # for bough alone: PyTorch brings its own
        return Bough(self.spec["program"], f"{work}/batches.txt", f"{work}/start.npz", options, env)

    def measure_bough(self):
        start = time.monotonic()
        self.ours = self.start_bough()
        self.updates = read_updates(self.ours.batches)
        self.tokens = statistics.mean(map(target_tokens, self.updates))
        own = self.result["bough"] = {"start_seconds": round(time.monotonic() - start, 2)}
        self.result.update(updates=len(self.updates), target_tokens=round(self.tokens, 1),
                           source_tokens=round(statistics.mean(map(source_tokens, self.updates)), 1))
        self.loss = self.ours.loss()
        own["first_update_seconds"] = round(self.ours.run(1), 3)
        self.ours.run(self.spec["warm_up"])
        before = self.ours.number("flops")
        self.ours.run(1)
        self.flops = self.ours.number("flops") - before  # of one update, near enough to each other
        seconds = self.ours.run(1)
        self.block = 1 if self.spec["block_seconds"] == 0 else max(1, min(20, math.ceil(self.spec["block_seconds"] / seconds)))
        self.result["updates_per_block"] = self.block
        times, _ = interleave({"bough": self.ours}, self.block, self.spec["rounds"], self.deadline)
        self.note_own(times["bough"])
        own["memory_mib"] = round(self.ours.number("memory"))
        self.save()

    def note_own(self, seconds):
        self.own_seconds += seconds
        own = self.result["bough"]
        own.update(summary(self.own_seconds, self.block, self.tokens))
        own["tflop_per_second"] = round(self.flops / (own["ms_per_update"] * 1e-3) * 1e-12, 4)

    def measure_peer(self, name):
        import torch

        entry = self.result["peers"][name] = {}
        try:
            self.time_peer(name, entry)
        except torch.cuda.OutOfMemoryError:
            if self.ours is None:
                entry["failed"] = "out of memory"
            else:  # alone, then: two systems at once are what the protocol asks for where they fit
                self.ours.close()
                self.ours = None
                self.free()
                self.measure_peer(name)
                self.result["peers"][name]["alone"] = True
                self.free()
                self.ours = self.start_bough()
                self.ours.run(self.spec["warm_up"])
        except Failed:
            raise
        except Exception as error:  # of PyTorch: the other cells go on
            entry["failed"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        self.free()
        self.save()

    def time_peer(self, name, entry):
        import torch

        form, compiled = PEERS[name]
        peer = self.make_peer(form, compiled, self.spec["model"])
        difference = abs(peer.loss() - self.loss) / self.loss
        entry.update(first_loss_difference=difference, fill=round(peer.fill(), 4), form=form)
        if not difference <= self.spec["loss_bound"]:
            entry["failed"] = f"the first loss differs by {difference:.1e}, must be at most {self.spec['loss_bound']:.0e}"
            return
        entry["compile_seconds"] = round(peer.run(1), 2)
        peer.run(self.spec["warm_up"])
        if self.ours:
            self.ours.run(1)
        systems = {"bough": self.ours, name: peer} if self.ours else {name: peer}
        seconds, own = interleave(systems, self.block, self.spec["rounds"], self.deadline)
        entry.update(summary(seconds[name], self.block, self.tokens))
        if self.ours:
            self.note_own(seconds["bough"])
            entry["bough_is_faster_by"] = ratio(own[name], seconds[name])
        else:
            entry["bough_is_faster_by"] = ratio([statistics.median(self.own_seconds)] * len(seconds[name]), seconds[name])
        if peer.is_gpu:
            entry["memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
            entry["reserved_mib"] = round(torch.cuda.max_memory_reserved() / 2**20)

    def make_peer(self, form, compiled, model):
        import numpy as np
        import torch
        from peer import Peer

        torch.manual_seed(1)
        with np.load(f"{self.spec['work']}/start.npz") as arrays:
            return Peer(model, arrays, self.updates, form, compiled, self.spec["device"], self.spec["clip"], self.spec["mode"])

    def free(self):
        import torch

        gc.collect()
        torch.compiler.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def compare_losses(self):
        """The same updates in the same order, without dropout in both: loss by loss."""
        ours = self.start_bough(transformer_dropout="0")
        count = self.spec["equal_updates"]
        own = ours.losses(count)
        ours.close()
        peer = self.make_peer("padded by length", None, {**self.spec["model"], "dropout": 0.0})
        theirs = peer.losses(count)
        differences = [abs(a - b) / abs(b) if a == a else math.inf for a, b in zip(own, theirs)]
        self.result["equality"] = {"updates": count, "bough": own, "torch": theirs, "first": differences[0], "most": max(differences)}
        self.free()
        self.save()


def main():
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    cell = Cell(spec, sys.argv[2])
    try:
        cell.measure_bough()
        for name in spec["peers"]:
            cell.measure_peer(name)
        if spec["peers"] and spec["equal_updates"]:
            cell.compare_losses()
    except Failed as error:
        cell.result["failed"] = str(error)
    if cell.ours:
        cell.ours.close()
    cell.save()


main()
