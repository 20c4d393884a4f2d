"""bough-train-speed as a process, and the batches it writes. Standard library only."""
import subprocess


class Failed(Exception):
    """One sentence about a program that did not do its work."""


class Bough:
    """Trains on the frozen batches that it wrote to `batches` when it started."""

    def __init__(self, program, batches, model, options, env=None):
        self.name = program.rsplit("/", 1)[-1]
        self.batches, self.model = batches, model
        self.process = subprocess.Popen([program, batches, "--model", model, *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        if self.process.stdout.readline() != "ready\n":
            self.fail()

    def fail(self):
        self.process.stdin.close()
        errors = self.process.stderr.read().strip().splitlines()
        self.process.wait()
        raise Failed(errors[-1] if errors else f"{self.name} ended with {self.process.returncode} and no message")

    def ask(self, command):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail()
        return self.process.stdout.readline() or self.fail()

    def number(self, command):
        return float(self.ask(command))

    def run(self, count):
        """Seconds of the next `count` updates."""
        return self.number(f"run {count}")

    def losses(self, count):
        return [float(x) for x in self.ask(f"losses {count}").split()]

    def loss(self):
        return self.number("loss")

    def close(self):
        """Ends the process, and with it gives back its memory."""
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()


def read_updates(path):
    """The batches: for each update a list of (source ids, target ids), without end of sentence."""
    updates, sides = [], []
    with open(path) as file:
        for line in file:
            if line == "\n" and len(sides) % 2 == 0 and sides:
                updates.append(list(zip(sides[0::2], sides[1::2])))
                sides = []
            else:
                sides.append([int(i) for i in line.split()])
    return updates


def target_tokens(update):
    return sum(len(t) + 1 for _, t in update)


def source_tokens(update):
    return sum(len(s) + 1 for s, _ in update)
