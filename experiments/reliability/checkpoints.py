"""What a run has left behind: whether it is whole, and the same as what a run left that was never stopped."""
import json
import zipfile

SAVE_FREQ = 5  # updates, as in config.yml
STATE = "special:state.yml.npy"
OF_TIME = ("seconds", "words_per_second")  # what differs between equal updates


def state_text(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read(STATE).split(b"\n", 1)[1].decode()


def updates(folder):
    """Of the checkpoint; 0: there is none."""
    path = folder / "model.npz.optimizer.npz"
    if not path.exists():
        return 0
    return next(int(line.split()[1]) for line in state_text(path).splitlines() if line.startswith("updates:"))


def metrics(folder):
    """(update, "" or validation metric): numbers. A line that was being written when the kill came does not count."""
    path = folder / "model.npz.metrics.jsonl"
    found = {}
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else []:
        numbers = json.loads(line)
        found[numbers["update"], numbers.get("valid", "")] = {k: v for k, v in numbers.items() if k not in OF_TIME}
    return found


def last_logged(folder):
    """The last update in the log of numbers, from the last complete line."""
    path = folder / "model.npz.metrics.jsonl"
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2000))
        lines = file.read().split(b"\n")[:-1]
    try:
        return json.loads(lines[-1])["update"] if lines else 0
    except ValueError:
        return 0


class Reference:
    """The run that was never stopped."""

    def __init__(self, folder):
        self.folder = folder
        self.metrics = metrics(folder)
        self.files = sorted(path.name for path in folder.glob("model.npz*.npz")) + ["model.npz"]


def damaged(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except zipfile.BadZipFile:
        return True


def faults(folder, reference, saved_before, is_saved):
    """A sentence for each thing that is lost. is_saved: the life had the time to save what it had trained."""
    found = [f"{path.name} is damaged" for path in folder.glob("*.npz") if damaged(path)]
    if found:
        return found
    saved, trained = updates(folder), last_logged(folder)
    if saved < saved_before:
        found.append(f"the checkpoint went back from update {saved_before} to {saved}")
    due = trained if is_saved else (trained - 1) // SAVE_FREQ * SAVE_FREQ  # a kill may come before the save of its update
    if saved < due:
        found.append(f"update {trained} was trained, so that {due} must be saved, but {saved} is")
    for key, numbers in metrics(folder).items():
        if numbers != reference.metrics[key]:
            found.append(f"update {key}: {numbers}, but {reference.metrics[key]} without a stop")
    return found


def differences(folder, reference):
    """Of a run that came to its end."""
    found = [f"{name} has other bytes than without a stop" for name in reference.files
             if not (folder / name).exists() or (folder / name).read_bytes() != (reference.folder / name).read_bytes()]
    if metrics(folder) != reference.metrics:
        found.append("the log of numbers misses lines, or has more than without a stop")
    found += [f"{path.name} stays behind" for path in folder.glob("*.tmp")]
    return found
