"""Runs bough-product-speed at every level that the machine has: what products.sh says.

Usage: products.py bough-product-speed RESULT.json ROUNDS
"""
import json
import os
import subprocess
import sys
import time

KINDS = {"step": "a decoder's step", "int8_step": "a decoder's step, int8", "kept": "weights packed before", "int8": "int8",
         "packed": "weights as they lie", "dx": "dy W", "dw": "dy^T x"}


def has_avx512():
    return any(line.startswith("flags") and " avx512vl" in line for line in open("/proc/cpuinfo"))


def print_table(lines):
    machine, *rows = [r for r in lines if "level" not in r or r is lines[0]]
    loop, read, bytes_loop = machine["multiply_add_flops"], machine["read_bytes"], machine["multiply_bytes_flops"]
    sizes = sorted({r["m"] for r in rows})
    print(f"\n{machine['level']}: multiply-add loop {loop / 1e9:.0f} GFLOP/s, of bytes {bytes_loop / 1e9:.0f}, "
          f"64 MiB read at {read / 1e9:.0f} GB/s\n")
    print("| product | n x k | " + " | ".join(f"M {m}" for m in sizes) + " |")
    print("|---|---|" + "---|" * len(sizes))
    for kind, title in KINDS.items():
        for n, k in sorted({(r["n"], r["k"]) for r in rows if r["kind"] == kind}):
            found = {r["m"]: r for r in rows if (r["n"], r["k"], r["kind"]) == (n, k, kind)}
            cells = [f"{found[m]['own'] / 1e9:.0f} ({found[m]['own'] / found[m]['onednn']:.2f})" if m in found else ""
                     for m in sizes]
            print(f"| {title} | {f'{n} x {k}' if n else 'all layers'} | " + " | ".join(cells) + " |")


def main(program, result, rounds):
    runs = []
    for level in ["avx2", "avx512"] if has_avx512() else ["avx2"]:
        load = os.getloadavg()[0]
        output = subprocess.run([program, level, rounds], check=True, capture_output=True, text=True).stdout
        lines = [json.loads(line) for line in output.splitlines()]
        print_table(lines)
        runs.append({"level": level, "load_average_before": round(load, 1), "rows": lines})
    with open(result, "w") as file:
        file.write('{"date": "%s", "cores": %d, "runs": [\n' % (time.strftime("%Y-%m-%d"), os.cpu_count()))
        texts = ['{"level": "%s", "load_average_before": %s, "rows": [\n%s]}' %
                 (r["level"], r["load_average_before"], ",\n".join(json.dumps(row) for row in r["rows"])) for r in runs]
        file.write(",\n".join(texts) + "\n]}\n")


main(*sys.argv[1:])
