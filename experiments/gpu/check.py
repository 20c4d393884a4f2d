"""What gpu_check.sh runs: parts within their time, a report as JSON, and tables. Needs no package but, for the peers,
PyTorch. README.md beside this file explains parts and tables."""
import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time

import devices
import speed
import tables
import tests
from failures import Failed, Skipped
from machine import Log, Machine

# In the order of the default run, with the seconds each may take there. 0: not in the default run.
PARTS = {"ops": 90, "memcheck": 75, "racecheck": 75, "losses": 45, "determinism": 25, "kernels": 70, "train": 140, "decode": 0, "devices": 0}
DEFAULT_LIMIT = 530
CELLS = {"train": list(speed.MODELS), "kernels": None}  # what the names behind a part may be; None: any kernel


class Run:
    """One call of the script: what was asked for, where it writes, and how much time is left."""

    def __init__(self, options, machine, work):
        self.options, self.machine, self.work = options, machine, work
        self.is_emulated = options.emulated
        self.end = time.monotonic() + options.limit
        self.part_end = self.end

    def folder(self, name):
        path = os.path.join(self.work, name)
        os.makedirs(path, exist_ok=True)
        return path

    def left(self, keep=0):
        """Seconds that the part may still take, less `keep`."""
        return min(self.end, self.part_end) - time.monotonic() - keep

    def small_corpus(self):
        """English-German sentences about numbers and dates, those of the archive or made now."""
        folder = os.path.join(os.path.dirname(self.machine.folder), "corpus")
        if not os.path.isdir(folder):
            folder = os.path.join(self.work, "corpus")
        if not os.path.isdir(folder):
            self.machine.check_run([self.machine.program("example-corpus"), folder, "3000", "100", "100"], 60)
        return folder


class Parser(argparse.ArgumentParser):
    def error(self, message):
        sys.exit(f"gpu_check: {message}; see gpu_check.sh --help")


def parse(arguments):
    parser = Parser(prog="gpu_check.sh", description="All that needs a GPU, in one go.",
                                     epilog="experiments/gpu/README.md says what each part measures.")
    parser.add_argument("part", nargs="?", choices=[*PARTS, "all"], help="one part alone, or all with the whole grid; none: the default run")
    parser.add_argument("cells", nargs="*", help=f"of train: {' '.join(speed.MODELS)}; of kernels: names of core/kernels.def")
    parser.add_argument("--tokens", type=int, nargs="+", help=f"target tokens of an update (train; {speed.TOKENS})")
    parser.add_argument("--peer", nargs="+", choices=[*speed.PEER_NAMES, "none"], help="PyTorch systems beside bough (train)")
    parser.add_argument("--batch", type=int, nargs="+", help=f"sentences of a batch (decode; {speed.BATCHES})")
    parser.add_argument("--compile-mode", choices=["default", "reduce-overhead", "max-autotune"], default="default", help="of torch.compile")
    parser.add_argument("--full", action="store_true", help="the whole op table in memcheck and racecheck (hours), and in ops --emulated")
    parser.add_argument("--limit", type=float, help=f"seconds in all ({DEFAULT_LIMIT}); what does not fit is skipped and says so")
    parser.add_argument("--out", help="folder for gpu_check.json and gpu_check.log ($OUT, else gpu_check.out)")
    parser.add_argument("--device", type=int, default=0, help="number of the GPU")
    parser.add_argument("--build", help="folder with bough's programs")
    parser.add_argument("--python", help="the python that has PyTorch (this one)")
    parser.add_argument("--emulated", action="store_true", help="toy sizes on the emulated GPU of the tests")
    options = parser.parse_intermixed_args(arguments)
    known = CELLS.get(options.part, [])
    for cell in options.cells:
        if known is not None and cell not in known:
            parser.error(f"'{cell}' is no cell of {options.part}, must be one of: {', '.join(known) or 'none'}")
    options.limit = options.limit or DEFAULT_LIMIT
    options.out = options.out or os.environ.get("OUT") or "gpu_check.out"
    return options


def chosen(options):
    """{part: (seconds, call)} of this run."""
    is_default, wants_all = options.part is None, options.part == "all"
    models = options.cells if options.part == "train" and options.cells else ["base"] if is_default else list(speed.MODELS)
    tokens = options.tokens or ([8448] if is_default else speed.TOKENS)
    peers = [p for p in options.peer or (["eager", "compiled"] if is_default else speed.PEER_NAMES) if p != "none"]
    if options.emulated:
        models, tokens = models[:1], [speed.TOY["tokens"]]
    calls = {"ops": tests.ops, "memcheck": tests.memcheck, "racecheck": tests.racecheck, "losses": tests.losses,
             "determinism": tests.determinism,
             "kernels": lambda run: speed.kernels(run, options.cells if options.part == "kernels" else []),
             "train": lambda run: speed.train(run, models, tokens, peers),
             "decode": lambda run: speed.decode(run, options.batch or speed.BATCHES),
             "devices": devices.devices}
    if is_default and not options.emulated:
        return {part: (seconds, calls[part]) for part, seconds in PARTS.items() if seconds}
    names = PARTS if is_default or wants_all else [options.part]
    return {part: (options.limit, calls[part]) for part in names}


def run_part(run, seconds, call):
    """The part's entry in the report."""
    start = time.monotonic()
    run.part_end = start + seconds
    entry = {"budget_seconds": seconds}
    try:
        if run.left() < 1:
            raise Skipped("time")
        entry.update(call(run))
        entry["status"] = "passed"
    except Failed as failed:
        entry.update(failed.report)
        entry.update(status="failed", result=str(failed.args[0]))
    except Skipped as skipped:
        entry.update(status="skipped", result=str(skipped))
    except Exception as error:  # a fault of this script must not end the other parts
        entry.update(status="failed", result=f"{type(error).__name__}: {error}")
    entry["seconds"] = round(time.monotonic() - start, 1)
    return entry


def main():
    options = parse(sys.argv[1:])
    os.makedirs(options.out, exist_ok=True)
    log = Log(os.path.join(options.out, "gpu_check.log"))
    report = {"command": sys.argv[1:], "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "parts": {}}

    def save():
        with open(os.path.join(options.out, "gpu_check.json"), "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")

    work = tempfile.mkdtemp(prefix="gpu_check.")
    try:
        machine = Machine(options, log)
        report["machine"] = machine.describe()
        run = Run(options, machine, work)
        for part, (seconds, call) in chosen(options).items():
            log.write(f"== {part}")
            entry = report["parts"][part] = run_part(run, seconds, call)
            log.write(f"== {part}: {entry['status']}: {entry['result']}")
            print(f"{part}: {entry['status']}, {entry['seconds']} s", file=sys.stderr, flush=True)
            save()
    except Failed as failed:
        sys.exit(f"gpu_check: {failed.args[0]}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    with contextlib.suppress(BrokenPipeError):
        print(tables.text(report))
        print(f"\n{options.out}/gpu_check.json has all numbers, {options.out}/gpu_check.log what every program said.")
    sys.exit(any(entry["status"] == "failed" for entry in report["parts"].values()))


main()
