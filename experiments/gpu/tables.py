"""The report as text."""


def columns(rows, header):
    """Aligned columns; numbers to the right."""
    table = [header, *[[str(x) for x in row] for row in rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    is_number = [all(row[i].replace(",", "").replace(".", "").replace("-", "").strip("x%") .isdigit() or not row[i] for row in table[1:])
                 for i in range(len(header))]
    lines = ["  ".join(cell.rjust(w) if number else cell.ljust(w) for cell, w, number in zip(row, widths, is_number)).rstrip()
             for row in table]
    return [lines[0], "  ".join("-" * w for w in widths), *lines[1:]]


def rate(row):
    if row["bound"] == "memory":
        return f"{row['bytes'] / row['seconds'] * 1e-9:,.0f} GB/s"
    return f"{row['flops'] / row['seconds'] * 1e-12:,.1f} TFLOP/s"


def kernel_table(part):
    rows = [[r["kernel"], r["variant"], f"{r['seconds'] * 1e6:,.1f}", f"{r['floor_seconds'] * 1e6:,.1f}",
             f"{r['percent_of_floor']:.0f}", rate(r)] for r in part.get("rows", []) if "floor_seconds" in r]
    return columns(rows, ["kernel", "variant", "us", "floor us", "% of floor", "achieved"]) if rows else []


def train_table(part):
    rows = []
    for r in part.get("rows", []):
        cell = [r["model"], str(r["tokens"])]
        own = r.get("bough", {})
        if "ms_per_update" in own:
            rows.append([*cell, "bough", f"{own['target_tokens_per_second']:,.0f}", f"{own['ms_per_update']:.2f}",
                         f"{own.get('percent_of_gemm', 0):.0f}", "", f"{own['start_seconds']:.1f}", f"{own['memory_mib']:,}"])
        else:
            rows.append([*cell, "bough: " + r.get("failed", "skipped: " + r.get("skipped", "time")), *[""] * 6])
        for name, peer in r.get("peers", {}).items():
            if "ms_per_update" in peer:
                rows.append([*cell, f"torch {name}{' (alone)' if peer.get('alone') else ''}", f"{peer['target_tokens_per_second']:,.0f}",
                             f"{peer['ms_per_update']:.2f}", "", f"{peer['bough_is_faster_by']:.2f}x", f"{peer['compile_seconds']:.1f}",
                             f"{peer['reserved_mib']:,}" if 'reserved_mib' in peer else ""])
            else:
                rows.append([*cell, f"torch {name}: {peer.get('failed') or 'skipped: ' + peer.get('skipped', 'time')}", *[""] * 6])
    header = ["model", "T", "system", "target tok/s", "ms/update", "% of GEMM", "bough is faster", "start s", "MiB"]
    return columns(rows, header) if rows else []


def decode_table(part):
    rows = [[r["batch"], r["beam"], f"{r['target_tokens_per_second']:,.0f}", f"{r['ms_per_sentence']:.2f}"] for r in part.get("rows", [])]
    return columns(rows, ["batch", "beam", "target tok/s", "ms/sentence"]) if rows else []


def devices_table(part):
    rows = [[r["gpus"], r["tokens"], f"{r['target_tokens_per_second']:,.0f}", f"{r['percent_of_linear']:.1f}"] for r in part.get("rows", [])]
    return columns(rows, ["GPUs", "T of each", "target tok/s", "% of linear"]) if rows else []


def ceilings(report):
    """The rates that percentages refer to, before and after each part that measured them."""
    for name, part in report["parts"].items():
        rates = part.get("ceilings")
        if rates:
            copy = [f"{rates[k]['copy_bytes_per_second'] * 1e-9:,.0f}" for k in ("before", "after")]
            gemm = [f"{rates[k]['gemm_flops_per_second'] * 1e-12:,.1f}" for k in ("before", "after")]
            yield f"{name}: on {rates['before']['device']}, copy {' and '.join(copy)} GB/s, 8192^3 product {' and '.join(gemm)} TFLOP/s (before and after)"


def text(report):
    parts = report["parts"]
    blocks = [table(parts[name]) for name, table in (("kernels", kernel_table), ("train", train_table), ("decode", decode_table), ("devices", devices_table)) if name in parts]
    blocks.append(list(ceilings(report)))
    blocks.append(columns([[name, p["status"], f"{p['seconds']:.1f}", p["result"][:150]] for name, p in parts.items()],
                          ["part", "status", "s", "result"]))
    return "\n\n".join("\n".join(block) for block in blocks if block)
