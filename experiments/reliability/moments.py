#!/usr/bin/env python3
"""Stops bough-train at random moments, lets it go on, and counts what was lost. See run.sh."""
import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import checkpoints
import report

HERE = pathlib.Path(__file__).resolve().parent
# Of 26 moments so many come as:
KINDS = {"kill -9": 13, "kill -9, slow disk": 7, "SIGTERM": 2, "SIGTERM, slow disk": 1, "full disk": 3}
SMALL_DISK = 8 << 20  # bytes
END = "end"  # the kind of a record: training came to its end
PATIENCE = 300  # seconds after which a life that should end has hung


class Programs:
    """bough's programs, on one corpus."""

    def __init__(self, options):
        self.bin = pathlib.Path(options.bin).resolve()
        corpus = pathlib.Path(options.work) / "corpus"
        vocabulary = pathlib.Path(options.work) / "vocab.spm"
        self.train_command = [
            self.bin / "bough-train", "-c", HERE / "config.yml", "--tempdir", ".", "--quiet", "--log", "train.log",
            "--train-sets", corpus / "train.en", corpus / "train.de", "--vocabs", vocabulary, vocabulary,
            "--valid-sets", corpus / "dev.en", corpus / "dev.de"]
        self.sentence = (corpus / "test.en").open().readline()

    def train(self, folder, is_slow=False):
        """Starts training in a folder, or goes on with it. It ends with this script, however that ends."""
        environment = dict(os.environ, LD_PRELOAD=str(self.bin / "libbough-slow-disk.so")) if is_slow else None
        die_with_parent = lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        return subprocess.Popen(self.train_command, cwd=folder, env=environment, preexec_fn=die_with_parent,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def translates(self, folder):
        command = [self.bin / "bough-translate", "-c", "model.npz.decoder.yml", "--cpu-threads", "1", "--quiet"]
        done = subprocess.run(command, cwd=folder, input=self.sentence, capture_output=True, text=True)
        return done.returncode == 0 and done.stdout.count("\n") == 1


class Pace:
    """How long things take here and now, so that moments fall into all of them."""

    def __init__(self):
        self.seconds_to_first_update, self.seconds_an_update = 1.0, 0.05

    def learn(self, start, first, end, updates):
        self.seconds_to_first_update = first - start
        self.seconds_an_update = max((end - first) / max(updates, 1), 0.001)


def wait_until(child, holds):
    end = time.monotonic() + PATIENCE
    while child.poll() is None and not holds():
        if time.monotonic() > end:
            child.kill()
            sys.exit("moments.py: training hangs")
        time.sleep(0.002)


def wait_for_moment(child, folder, begun, pace):
    """A fourth of the moments fall into the start, the others into what follows the first update."""
    start = time.monotonic()
    if random.random() < 0.25:
        until = start + random.random() * pace.seconds_to_first_update
        wait_until(child, lambda: time.monotonic() >= until)
        return
    wait_until(child, lambda: checkpoints.last_logged(folder) > begun)
    first = time.monotonic()
    until = first + random.random() * 25 * pace.seconds_an_update
    wait_until(child, lambda: time.monotonic() >= until)
    pace.learn(start, first, time.monotonic(), checkpoints.last_logged(folder) - begun)


def stop_by_signal(programs, folder, kind, pace):
    """Lets training go on until a random moment. Returns its exit code and what it said."""
    child = programs.train(folder, is_slow="slow disk" in kind)
    wait_for_moment(child, folder, checkpoints.updates(folder), pace)
    child.send_signal(signal.SIGTERM if "SIGTERM" in kind else signal.SIGKILL)
    said = child.communicate()[1]
    return child.returncode, said


@contextlib.contextmanager
def small_disk(folder, place):
    """A copy of the folder on a disk of its own, which replaces the folder at the end."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "bough", place], check=True)
    try:
        shutil.copytree(folder, place, dirs_exist_ok=True)
        yield place
        shutil.copytree(place, copied(folder))
        shutil.rmtree(folder)
        copied(folder).rename(folder)
    finally:
        subprocess.run(["umount", place], check=True)


def copied(folder):
    return folder.with_name(folder.name + "-copied")


def settle_copy(folder):
    """After an end of this script in the middle of small_disk()."""
    if folder.exists():
        shutil.rmtree(copied(folder), ignore_errors=True)
    elif copied(folder).exists():
        copied(folder).rename(folder)


def stop_by_full_disk(programs, folder, place, pace):
    """Lets training go on, on a disk that has no room left, or for a part of the next save, from a random moment on."""
    with small_disk(folder, place) as disk:
        child = programs.train(disk)
        wait_for_moment(child, disk, checkpoints.updates(disk), pace)
        with open(disk / "filler", "wb") as filler:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            with contextlib.suppress(OSError):
                os.posix_fallocate(filler.fileno(), 0, max(1, free - random.randrange(400_000)))
        wait_until(child, lambda: False)
        said = child.communicate()[1]
        (disk / "filler").unlink()
        return child.returncode, said


def faults_of_end(kind, code, said):
    """What is wrong with how a life ended; it may have come to its end before the moment."""
    expected = {"kill -9": {-9, 0}, "SIGTERM": {143, -15, 0}, "full disk": {1, 0}}[kind.split(",")[0]]
    if code not in expected:
        return [f"{kind}: ended with {code}: {said[-500:]}"]
    if code == 1 and "is full" not in said:
        return [f"{kind}: the message does not say that the disk is full: {said[-500:]}"]
    return []


class Run:
    """A training that is stopped again and again until it comes to its end, then anew."""

    def __init__(self, programs, reference, folder, record, may_fill_disk):
        self.programs, self.reference, self.folder, self.record = programs, reference, folder, record
        self.kinds = [k for k, n in KINDS.items() for _ in range(n) if may_fill_disk or k != "full disk"]
        self.place = folder.with_name(folder.name + "-disk")
        self.pace = Pace()
        settle_copy(folder)

    def stop_once(self):
        """One moment, unless training ends before: a record of what was stopped, and what is wrong with what is left."""
        self.folder.mkdir(exist_ok=True)
        kind = random.choice(self.kinds)
        before = checkpoints.updates(self.folder)
        if kind == "full disk":
            code, said = stop_by_full_disk(self.programs, self.folder, self.place, self.pace)
        else:
            code, said = stop_by_signal(self.programs, self.folder, kind, self.pace)
        faults = faults_of_end(kind, code, said)
        faults += checkpoints.faults(self.folder, self.reference, before, is_saved=code in (143, 0))
        if (self.folder / "model.npz.decoder.yml").exists() and not self.programs.translates(self.folder):
            faults.append("the model does not translate")
        self.record({"kind": kind if code != 0 else END, "code": code, "saved": checkpoints.updates(self.folder),
                     "has_temporary_file": bool(list(self.folder.glob("*.tmp"))), "faults": faults})
        if code == 0:
            self.finish()

    def finish(self):
        """Lets a run come to its end, compares it with the one that was never stopped, and clears the table."""
        if not self.folder.exists():
            return
        child = self.programs.train(self.folder)
        said = child.communicate()[1]
        faults = [] if child.returncode == 0 else [f"a last life ended with {child.returncode}: {said[-500:]}"]
        faults += checkpoints.faults(self.folder, self.reference, 0, is_saved=True)
        faults += checkpoints.differences(self.folder, self.reference)
        self.record({"kind": END, "faults": faults})
        if faults:
            self.folder.rename(self.folder.with_name(f"{self.folder.name}-fault-{time.time_ns()}"))
        else:
            shutil.rmtree(self.folder)


class Records:
    """What has been seen, in a file that a next call of this script goes on with."""

    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        self.lines = [json.loads(line) for line in path.open()] if path.exists() else []
        self.under_way = 0

    def moments(self):
        return sum(line["kind"] != END for line in self.lines)

    def add(self, line):
        with self.lock:
            self.lines.append(line)
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
            for fault in line["faults"]:
                print("FAULT:", fault, file=sys.stderr, flush=True)
            if sys.stderr.isatty():
                print(f"\r{self.moments()} moments", end="", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def one_more(self, most):
        """Whether another moment is wanted."""
        with self.lock:
            is_wanted = self.moments() + self.under_way < most
            self.under_way += is_wanted
        yield is_wanted
        with self.lock:
            self.under_way -= is_wanted


def train_reference(programs, folder):
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        child = programs.train(folder)
        said = child.communicate()[1]
        if child.returncode != 0:
            sys.exit(f"moments.py: the run that is not stopped ended with {child.returncode}: {said}")
        (folder / "done").touch()
    return checkpoints.Reference(folder)


def can_mount(work):
    with contextlib.suppress(subprocess.CalledProcessError, OSError):
        (work / "empty").mkdir(exist_ok=True)
        with small_disk(work / "empty", work / "disk"):
            return True
    return False


def main():
    parser = argparse.ArgumentParser()
    for name, kind in {"bin": str, "work": str, "result": str, "moments": int, "jobs": int}.items():
        parser.add_argument("--" + name, type=kind, required=True)
    options = parser.parse_args()
    work, start = pathlib.Path(options.work), time.monotonic()
    programs = Programs(options)
    reference = train_reference(programs, work / "reference")
    records = Records(work / "moments.jsonl")
    may_fill_disk = can_mount(work)

    def stop_and_go(number):
        run = Run(programs, reference, work / f"run-{number}", records.add, may_fill_disk)
        is_wanted = True
        while is_wanted:
            with records.one_more(options.moments) as is_wanted:
                if is_wanted:
                    run.stop_once()
        run.finish()

    threads = [threading.Thread(target=stop_and_go, args=(n,)) for n in range(options.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = report.summary(records.lines, may_fill_disk, options.moments, time.monotonic() - start)
    print(report.table(result))
    pathlib.Path(options.result).write_text(json.dumps(result, indent=2) + "\n")
    if result["faults"]:
        sys.exit(1)


main()
