#!/usr/bin/env python3
"""Runs the cells of cells.py that have no result yet, and makes tables and figures of those that have. See run.sh."""
import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import cells
import figures
import measure
import tables

HERE = os.path.dirname(os.path.abspath(__file__))
DIVERGED = 3  # bough-train's exit code
SAVE_EVERY = 60  # seconds of one idle core between checkpoints


class Interrupted(Exception):
    pass


class Busy(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def minutes(seconds):
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Study:
    """The work of one call: where things are, and what has been done so far."""

    def __init__(self, options):
        self.bin = os.path.abspath(options.bin)
        self.data = os.path.abspath(options.data) if options.data else ""
        self.work = os.path.abspath(options.work)
        self.results = os.path.abspath(options.results)
        self.commit = self.git_commit()
        self.stopped = False
        self.children = {}  # cell: process
        self.lock = threading.Lock()

    @staticmethod
    def git_commit():
        if not shutil.which("git"):
            return "unknown"
        done = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        return done.stdout.strip() or "unknown"

    def residuals(self):
        """What transformer-residual can be in this build of bough-train."""
        done = subprocess.run([f"{self.bin}/bough-train", "--help"], capture_output=True, text=True)
        found = re.search(r"--transformer-residual.*?one of: ([^;)]*)", done.stdout, re.DOTALL)
        if done.returncode != 0 or not found:
            raise SystemExit(f"study.py: {self.bin}/bough-train --help does not tell the residual kinds; build it first")
        return {name.strip() for name in found[1].split(",")}

    def possible(self, todo):
        """Without the cells whose residual this build of bough-train does not know."""
        residuals = self.residuals()
        left_out = [c for c in todo if c.residual not in residuals]
        if left_out:
            names = ", ".join(dict.fromkeys(c.residual for c in left_out))
            say(f"left out: {len(left_out)} cells of residuals that {self.bin}/bough-train does not have: {names}")
        return [c for c in todo if c.residual in residuals]

    def result_path(self, cell):
        return os.path.join(self.results, cell.study, cell.name + ".json")

    def result(self, cell):
        """The cell's result; None if it has not run with today's options."""
        try:
            with open(self.result_path(cell)) as file:
                result = json.load(file)
        except FileNotFoundError:
            return None
        return result if result["options"] == cell.options else None

    def tests(self):
        """Contents of results/significance."""
        folder = os.path.join(self.results, "significance")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return [json.load(open(os.path.join(folder, name))) for name in names if name.endswith(".json")]

    def folder(self, cell):
        return os.path.join(self.work, "cells", cell.study, cell.name)

    def translations(self, cell):
        return os.path.join(self.results, "translations", cell.name + ".de.gz")

    def text(self, form, part):
        """Source and target of train, val or test_2016_flickr."""
        if form == "languages":
            return [os.path.join(self.work, form, f"{part}.{side}") for side in ("source", "target")]
        return [os.path.join(self.data, "tok" if form == "tok" else "", f"{part}.{side}") for side in ("en", "de")]

    def mix_languages(self):
        """The files of the form `languages`: English with a tag, and its translations, one language after another."""
        os.makedirs(os.path.join(self.work, "languages"), exist_ok=True)
        for part in ["train", "val", "test_2016_flickr"]:
            paths = self.text("languages", part)
            with open(paths[0] + ".tmp", "w") as source, open(paths[1] + ".tmp", "w") as target:
                for language in cells.LANGUAGES:
                    with open(os.path.join(self.data, "tok", f"{part}.en")) as english:
                        source.writelines(f"{cells.tag(language)} {line}" for line in english)
                    with open(os.path.join(self.data, "tok", f"{part}.{language}")) as translations:
                        target.writelines(translations)
            for path in paths:
                os.replace(path + ".tmp", path)

    def vocabulary(self, form):
        return os.path.join(self.work, f"{form}.spm")

    def training_command(self, cell):
        folder, vocabulary = self.folder(cell), self.vocabulary(cell.form)
        save = max(1, round(SAVE_EVERY * cell.updates / cell.seconds()))
        options = {"save-freq": f"{save}u", **cell.options}
        command = [f"{self.bin}/bough-train", "-c", f"{HERE}/config.yml", "--model", f"{folder}/model.npz", "--quiet",
                   "--log", f"{folder}/train.log", "--tempdir", self.work, "--vocabs", vocabulary, vocabulary,
                   "--train-sets", *self.text(cell.form, "train")]
        if "valid-freq" in options:
            command += ["--valid-sets", *self.text(cell.form, "val")]
        for key, value in options.items():
            command += [f"--{key}", *(map(str, value) if isinstance(value, list) else [str(value)])]
        return command

    def make_vocabularies(self, todo):
        """Before any cell: cells that start together must not each train one."""
        for first in {cell.form: cell for cell in todo}.values():
            form = first.form
            if form == "languages":
                self.mix_languages()
            if os.path.exists(self.vocabulary(form)):
                continue
            say(f"vocabulary of the {form} text")
            symbols = {"sentencepiece_options": first.options[key] for key in first.options if key == "sentencepiece-options"}
            cell = cells.cell("vocabulary", form, "post-ln", 1, 0, 16, form=form, after="1u", mini_batch_words=100,
                              transformer_heads=1, **symbols)
            self.train(cell)
            shutil.rmtree(self.folder(cell))

    def train(self, cell):
        """Runs bough-train, from its checkpoint if there is one; returns the exit code, 0 or DIVERGED."""
        folder = self.folder(cell)
        os.makedirs(folder, exist_ok=True)
        recipe = hashlib.sha256(json.dumps(cell.options, sort_keys=True).encode()).hexdigest()
        lock = open(os.path.join(folder, "lock"), "w")
        try:
            # The child inherits the lock: it holds as long as bough-train lives, whatever happens to us.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy(f"{cell.study}/{cell.name} is being run by another process") from None
        with lock:
            self.drop_other_recipe(folder, recipe)
            with open(os.path.join(folder, "train.err"), "w") as errors:
                code = self.wait_for(cell, lock, errors)
        if code in (128 + signal.SIGINT, 128 + signal.SIGTERM) or self.stopped:
            raise Interrupted
        if code not in (0, DIVERGED):
            with open(os.path.join(folder, "train.err")) as errors:
                raise RuntimeError(errors.read().strip().split("\n")[-1] or f"bough-train ended with {code}")
        return code

    @staticmethod
    def drop_other_recipe(folder, recipe):
        """A checkpoint made with other options is of no use."""
        path = os.path.join(folder, "recipe")
        if os.path.exists(path) and open(path).read() != recipe:
            for name in os.listdir(folder):
                if name != "lock":
                    os.remove(os.path.join(folder, name))
        with open(path, "w") as file:
            file.write(recipe)

    def wait_for(self, cell, lock, errors):
        with self.lock:
            if self.stopped:
                raise Interrupted
            child = subprocess.Popen(self.training_command(cell), stderr=errors, pass_fds=[lock.fileno()])
            self.children[cell.study, cell.name] = child
        code = child.wait()
        with self.lock:
            del self.children[cell.study, cell.name]
        return code

    def run(self, cell):
        folder = self.folder(cell)
        code = self.train(cell)
        result = measure.measure(cell, folder, code, self.commit)
        if cell.translates and code == 0:
            result["bleu"] = measure.translate(cell, folder, self.bin, self.text(cell.form, "test_2016_flickr"))
            measure.keep_translations(folder, self.translations(cell))
        measure.write_json(self.result_path(cell), result)
        if cell.translates:
            self.compare_with_partners(cell)
        for name in ["model.npz.optimizer.npz"]:  # the largest file, and nothing will go on from it
            if os.path.exists(os.path.join(folder, name)):
                os.remove(os.path.join(folder, name))
        return result

    def compare_with_partners(self, cell):
        """Paired tests against the other kinds of the same depth, form and seed that are there."""
        with self.lock:
            for first, second in cells.comparisons():
                if cell.name not in (first.name, second.name):
                    continue
                files = [self.translations(first), self.translations(second)]
                is_current = all("bleu" in (self.result(c) or {}) for c in (first, second))
                if is_current and all(os.path.exists(path) for path in files):
                    reference = self.text(cell.form, "test_2016_flickr")[1]
                    test = measure.compare(first, second, files, self.bin, reference, self.folder(cell))
                    name = f"{second.name}-against-{first.kind}.json"
                    measure.write_json(os.path.join(self.results, "significance", name), test)

    def stop(self, *_):
        """Signal handler: every child saves and ends."""
        self.stopped = True
        for child in list(self.children.values()):
            child.terminate()

    def share_done(self, cell):
        """How far a running cell is, from 0 to 1: by the last line of its metrics."""
        path = os.path.join(self.folder(cell), "model.npz.metrics.jsonl")
        try:
            with open(path, "rb") as file:
                file.seek(max(0, os.path.getsize(path) - 4000))
                lines = file.read().decode(errors="replace").strip().split("\n")
            return min(1.0, json.loads(lines[-1])["update"] / cell.updates)
        except (OSError, ValueError, KeyError):
            return 0.0


class Queue:
    """Worker threads take cells in order; the main thread shows how far they are."""

    def __init__(self, study, todo):
        self.study, self.todo, self.waiting = study, todo, list(todo)
        self.running, self.finished, self.failed = [], [], []
        self.lock = threading.Lock()
        self.start = time.time()
        self.is_terminal = sys.stderr.isatty()

    def work(self):
        while True:
            with self.lock:
                if not self.waiting or self.study.stopped:
                    return
                cell = self.waiting.pop(0)
                self.running.append(cell)
            try:
                text = tables.one_line(self.study.run(cell))
                self.close(cell, self.finished, text)
            except Interrupted:
                self.close(cell, [], None)
            except Busy as busy:
                self.close(cell, [], str(busy))
            except Exception as error:  # the other cells go on
                self.close(cell, self.failed, f"failed: {error}")

    def close(self, cell, pile, text):
        with self.lock:
            self.running.remove(cell)
            pile.append(cell)
            if text:
                self.clear_bar()
                say(f"[{time.strftime('%H:%M:%S')}] {cell.study}/{cell.name}: {text}")

    def clear_bar(self):
        if self.is_terminal:
            sys.stderr.write("\r\033[K")

    def show(self):
        with self.lock:
            done = sum(c.seconds() for c in self.finished + self.failed)
            done += sum(self.study.share_done(c) * c.seconds() for c in self.running)
            total = sum(c.seconds() for c in self.todo)
            share = done / total if total else 1
            left = (time.time() - self.start) * (1 - share) / share if share > 0.001 else 0
            names = ", ".join(f"{c.study}/{c.name} {100 * self.study.share_done(c):.0f} %" for c in self.running)
            bar = "#" * round(20 * share) + "." * (20 - round(20 * share))
            sys.stderr.write(f"\r\033[K[{bar}] {100 * share:.0f} %, {minutes(left)} left: {names}"[:160])
            sys.stderr.flush()

    def run(self, jobs):
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.5)
            if self.is_terminal:
                self.show()
        self.clear_bar()


def print_plan(study, chosen, jobs, details):
    say(f"{'study':<14}{'cells':>6}{'done':>6}{'to run':>8}   estimate on {jobs} idle core{'s' * (jobs > 1)}")
    for name in dict.fromkeys(c.study for c in chosen):
        of_study = [c for c in chosen if c.study == name]
        missing = [c for c in of_study if study.result(c) is None]
        estimate = minutes(sum(c.seconds() for c in missing) / jobs)
        say(f"{name:<14}{len(of_study):>6}{len(of_study) - len(missing):>6}{len(missing):>8}   {estimate}")
    missing = [c for c in chosen if study.result(c) is None]
    say(f"{'all':<14}{len(chosen):>6}{len(chosen) - len(missing):>6}{len(missing):>8}"
        f"   {minutes(sum(c.seconds() for c in missing) / jobs)}")
    if details:
        for c in chosen:
            result = study.result(c)
            state = tables.one_line(result) if result else f"not run, {minutes(c.seconds())}"
            say(f"  {c.study}/{c.name}: {state}")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="study.py", description=__doc__)
    parser.add_argument("studies", nargs="*", help=f"of {', '.join(f'{k} or {v}' for k, v in cells.STUDIES.items())},"
                        f" trial; all but {' and '.join(cells.ON_GPU)}, which need a GPU, and trial without any")
    parser.add_argument("--bin", required=True, help="folder of bough-train, bough-translate, bough-score")
    parser.add_argument("--data", help="folder of the Multi30k files")
    parser.add_argument("--work", required=True, help="folder for checkpoints and logs")
    parser.add_argument("--results", default=os.path.join(HERE, "results"), help="folder for results and figures")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="cells at a time")
    parser.add_argument("--list", action="store_true", help="show the cells and stop")
    parser.add_argument("--figures", action="store_true", help="make tables and figures and stop")
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error(f"--jobs is {options.jobs}, must be at least 1")
    names = list(cells.STUDIES.values()) + ["trial"]
    on_cpu = [name for name in names[:-1] if name not in cells.ON_GPU]
    options.studies = [cells.STUDIES.get(s, s) for s in options.studies] or on_cpu
    for name in options.studies:
        if name not in names:
            parser.error(f"'{name}' is not a study, must be one of {', '.join(names)} or a letter a to {max(cells.STUDIES)}")
    return options


def chosen_cells(studies):
    wanted = {(c.study, c.name) for s in studies for c in cells.cells_of(s)}
    return [c for c in cells.all_cells() if (c.study, c.name) in wanted]


def make_figures(study):
    every = {(c.study, c.name): (c, study.result(c)) for c in cells.all_cells()}
    tables.write_all(every, study.tests(), study.results)
    figures.write_all(every, study.results)
    if study.results == os.path.join(HERE, "results"):
        for document in ["branchnorm.md", "branchnorm_studies.md"]:
            tables.fill_in(os.path.join(HERE, "..", "..", "docs", document), every, study.tests())
    say(f"tables and figures are in {study.results}")


def main():
    options = parse_arguments()
    study = Study(options)
    if options.figures:
        make_figures(study)
        return 0
    chosen = chosen_cells(options.studies)
    print_plan(study, chosen, options.jobs, options.list)
    if options.list:
        return 0
    todo = study.possible([c for c in chosen if study.result(c) is None])
    signal.signal(signal.SIGINT, study.stop)
    signal.signal(signal.SIGTERM, study.stop)
    queue = Queue(study, todo)
    try:
        study.make_vocabularies(todo)
        queue.run(options.jobs)
    except Interrupted:
        pass
    make_figures(study)
    if study.stopped:
        say("interrupted; the same command goes on")
        return 130
    return 1 if queue.failed else 0


if __name__ == "__main__":
    sys.exit(main())
