#!/usr/bin/env python3
"""What ptxas says about every kernel: registers, static shared memory, bytes spilled; and the CPU seconds of each file.

Usage: kernel_resources.py [ARCHITECTURE]   (default sm_90a). Needs nvcc, no GPU; prints Markdown.
"""
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parents[2]
arch = sys.argv[1] if len(sys.argv) > 1 else "sm_90a"


def compile(source, folder):
    """nvcc's report, and the seconds of all its processes together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        ["nvcc", "-std=c++20", "-O3", f"-arch={arch}", "-Xptxas", "-v", "-Werror", "all-warnings",
         "-Xcompiler=-Wall,-Wextra", "-DFMT_USE_CONSTEXPR=1", f"-I{root}", "-c", str(source),
         "-o", f"{folder}/{source.name}.o"], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    names = subprocess.run(["c++filt"], input=run.stderr, capture_output=True, text=True).stdout
    return names, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def short(name):
    name = re.sub(r"bough::(cuda::)?|\(anonymous namespace\)::|\((bough::)?OptimizerKind\)", "", name)
    return re.sub(r"^void |\(.*$", "", name)


def kernels(report):
    pattern = (r"Compiling entry function '(.*?)' for.*?(\d+) bytes spill stores.*?"
               r"Used (\d+) registers([^\n]*)")
    for name, spilled, registers, rest in re.findall(pattern, report, re.S):
        shared = re.search(r"(\d+) bytes smem", rest)
        yield short(name), int(registers), int(shared[1]) if shared else 0, int(spilled)


print(f"| kernel ({arch}) | registers | static shared bytes | bytes spilled |\n|---|---|---|---|")
seconds = {}
with tempfile.TemporaryDirectory() as folder:
    for source in sorted((root / "cuda").glob("*.cu")):
        report, seconds[source.name] = compile(source, folder)
        for name, registers, shared, spilled in sorted(kernels(report)):
            print(f"| `{name}` | {registers} | {shared} | {spilled} |", flush=True)
print("\nCPU seconds a file: " + ", ".join(f"{name} {time:.0f}" for name, time in seconds.items()))
