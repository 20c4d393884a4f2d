"""What this machine has: bough's programs, the CUDA libraries they need, compute-sanitizer, and how to run things."""
import glob
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from failures import Failed, Skipped

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Machine:
    def __init__(self, options, log):
        self.log, self.is_emulated, self.device = log, options.emulated, options.device
        self.python = options.python or sys.executable
        self.folder = options.build or next(
            (f for f in [f"{ROOT}/bin"] if os.path.isdir(f)), f"{ROOT}/build-test" if self.is_emulated else f"{ROOT}/build-cuda")
        self.env = dict(os.environ)
        if not self.is_emulated:
            self.find_libraries()

    # ---- programs

    def program(self, name):
        """The path of bough-NAME."""
        emulated = self.is_emulated and name in ("train", "translate", "train-speed", "decode-speed", "kernel-speed")
        path = f"{self.folder}/bough-{name}{'-emulated' if emulated else ''}"
        if not os.path.exists(path):
            raise Failed(f"'{path}' is missing; make the archive with experiments/bundle.sh, or build with "
                         f"cmake --preset {'test' if self.is_emulated else 'cuda'}, or name a folder with --build")
        return path

    def gpu(self, precision="bfloat16"):
        """Options of bough's programs that choose the GPU."""
        return ["--devices", str(self.device), "--precision", precision, "float32"]

    def gpus(self):
        """How many there are."""
        if self.is_emulated:
            return int(self.env.get("BOUGH_EMULATED_GPUS", "1"))
        listing = subprocess.run(["nvidia-smi", "--list-gpus"], env=self.env, capture_output=True, text=True)
        visible = self.env.get("CUDA_VISIBLE_DEVICES")
        return len(listing.stdout.strip().splitlines()) if visible is None else len([x for x in visible.split(",") if x])

    # ---- libraries

    def find_libraries(self):
        """Adds the folders of the CUDA libraries that the loader does not find by itself to self.env."""
        missing = self.missing_libraries()
        for name in missing:
            folder = next((f for f in library_folders(self.python) if os.path.exists(f"{f}/{name}")), None)
            if folder is None:
                raise Failed(f"{name} was not found on the library path, in a CUDA toolkit (/usr/local/cuda*) or beside "
                             f"PyTorch (site-packages/nvidia/*/lib of {self.python}); install one of them, or add its "
                             "folder to LD_LIBRARY_PATH")
            self.log.write(f"{name}: {folder}")
            path = self.env.get("LD_LIBRARY_PATH", "")
            if folder not in path.split(":"):
                self.env["LD_LIBRARY_PATH"] = ":".join(filter(None, [path, folder]))
        if missing and (left := self.missing_libraries()):
            raise Failed(f"{left[0]} was found but cannot be loaded; see `ldd {self.program('train')}`")

    def missing_libraries(self):
        listing = subprocess.run(["ldd", self.program("train")], env=self.env, capture_output=True, text=True)
        if "version" in listing.stderr and "not found" in listing.stderr:
            raise Failed(f"this Linux is older than the one bough was built on: {listing.stderr.strip().splitlines()[0]}")
        return re.findall(r"^\s*(\S+) => not found", listing.stdout, re.M)

    def sanitizer(self):
        """The path of compute-sanitizer, or None."""
        found = shutil.which("compute-sanitizer")
        places = ["/usr/local/cuda*/bin", "/usr/local/cuda*/compute-sanitizer", "/opt/cuda/bin", "/opt/cuda/extras/compute-sanitizer"]
        return found or next((p for f in places for p in sorted(glob.glob(f"{f}/compute-sanitizer"))), None)

    def has_torch(self):
        if self.python == sys.executable:
            return importlib.util.find_spec("torch") is not None
        return subprocess.run([self.python, "-c", "import torch"], capture_output=True).returncode == 0

    def describe(self):
        """Facts for the report; whatever is not there is left out but the GPU, without which there is nothing to do."""
        device = self.check_run([self.program("kernel-speed"), "device", "--device", str(self.device)], 120)
        facts = {**json.loads(last_words(device)), "emulated": self.is_emulated, "cpus": os.cpu_count(), "bough": first_line([self.program("train"), "--version"], self.env)}
        if not self.is_emulated:
            query = "name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,power.limit"
            facts["nvidia_smi"] = first_line(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader", "-i", str(self.device)], self.env)
        if self.has_torch():
            facts["torch"] = first_line([self.python, "-c", "import torch; print(torch.__version__, torch.version.cuda)"], None)
        return {key: value for key, value in facts.items() if value is not None}

    # ---- running

    def run(self, command, seconds, env=None, on_line=None, input_text=None):
        """Runs to the end; returns (exit code, output). Output goes to the log as it comes. Raises Skipped when
        `seconds` pass: the process and its children are then gone."""
        self.log.write("$ " + " ".join(command))
        if seconds <= 0:
            raise Skipped("time")
        process = subprocess.Popen(command, stdin=subprocess.PIPE if input_text is not None else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                   env=env or self.env, start_new_session=True)
        is_late = threading.Event()

        def end():
            is_late.set()
            kill(process)

        timer = threading.Timer(seconds, end)
        timer.start()
        lines = []
        try:
            if input_text is not None:
                process.stdin.write(input_text)
                process.stdin.close()
            for line in process.stdout:
                lines.append(line)
                self.log.write(line.rstrip("\n"))
                if on_line:
                    on_line(line)
            code = process.wait()
        finally:
            timer.cancel()
            kill(process)
        if is_late.is_set():
            raise Skipped(f"time: '{os.path.basename(command[0])}' was stopped after {seconds:.0f} s")
        return code, "".join(lines)

    def check_run(self, command, seconds, **more):
        code, output = self.run(command, seconds, **more)
        if code != 0:
            raise Failed(last_words(output) or f"'{os.path.basename(command[0])}' ended with {code}")
        return output


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def last_words(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def first_line(command, env):
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def library_folders(python):
    """Where CUDA's libraries lie: toolkits, then the wheels that come with PyTorch, of either layout."""
    for toolkit in [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), *sorted(glob.glob("/usr/local/cuda*"), reverse=True), "/opt/cuda"]:
        if toolkit:
            yield from (f"{toolkit}/{sub}" for sub in ("lib64", "lib", "targets/x86_64-linux/lib"))
    nvcc = shutil.which("nvcc")
    if nvcc:
        yield os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(nvcc))), "lib64")
    code = "import site, sys; print('\\n'.join([*site.getsitepackages(), site.getusersitepackages(), *sys.path]))"
    paths = subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.splitlines()
    for path in paths:
        yield from sorted(glob.glob(f"{path}/nvidia/*/lib"))


class Log:
    """The log file, with seconds since the start."""

    def __init__(self, path):
        self.file, self.start = open(path, "w"), time.monotonic()

    def write(self, line):
        self.file.write(f"{time.monotonic() - self.start:8.1f}  {line}\n")
        self.file.flush()
