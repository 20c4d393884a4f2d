"""Sums up what moments.py saw."""
import collections
import os
import pathlib
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent


def of_processor(key):
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), "")


def vector_width():
    """Bits of the widest vectors that the processor has, on which a model's bits may depend."""
    flags = of_processor("flags").split()
    return 512 if "avx512f" in flags else 256 if "avx2" in flags else 128


def commit():
    done = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def summary(lines, may_fill_disk, moments, seconds):
    stops = [line for line in lines if line["kind"] != "end"]
    kinds = collections.defaultdict(lambda: {"moments": 0, "with_temporary_file": 0, "faults": 0})
    for line in stops:
        row = kinds[line["kind"]]
        row["moments"] += 1
        row["with_temporary_file"] += line["has_temporary_file"]
        row["faults"] += len(line["faults"])
    return {
        "command": f"experiments/reliability/run.sh --moments {moments}",
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": f"{of_processor('model name') or 'unknown'}, {os.cpu_count()} cores",
        "vector_bits": vector_width(),
        "seconds_of_last_call": round(seconds),
        "moments": len(stops),
        "kinds": dict(sorted(kinds.items())),
        "full_disk": "a tmpfs" if may_fill_disk else "not tried: nothing can be mounted here",
        "runs_compared_at_their_end": sum(line["kind"] == "end" and "saved" not in line for line in lines),
        "faults": [fault for line in lines for fault in line["faults"]],
    }


def table(result):
    rows = [f"{'stopped by':20}  {'moments':>7}  {'tmp left':>9}  {'lost':>4}"]
    for kind, row in result["kinds"].items():
        rows.append(f"{kind:20}  {row['moments']:7}  {row['with_temporary_file']:9}  {row['faults']:4}")
    rows.append(f"{result['moments']} moments, {result['runs_compared_at_their_end']} runs compared at their end, "
                f"{len(result['faults'])} things lost or wrong")
    return "\n".join(rows)
