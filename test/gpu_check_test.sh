#!/usr/bin/env bash
# experiments/gpu_check.sh on the emulated GPU: every part, its report, and what it says when something is missing.
# Usage: gpu_check_test.sh BUILD_FOLDER
set -eu
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
script=$PWD/experiments/gpu_check.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "gpu_check_test: $1" >&2
  tail -n 40 "$work"/*.txt >&2
  exit 1
}
# check NAME STATUS PATTERN ARGUMENTS...: the exit code and a line of the output.
check() {
  local name=$1 status=$2 pattern=$3 code=0
  shift 3
  "$script" --build "$build" --out "$work/$name" "$@" >"$work/$name.txt" 2>&1 || code=$?
  [ "$code" = "$status" ] || fail "$name: exit code $code, must be $status"
  grep -Eq -- "$pattern" "$work/$name.txt" || fail "$name: nothing like '$pattern' in its output"
}

# Every part.
check all 0 '^decode +passed' --emulated --peer none
python3 - "$work/all/gpu_check.json" core/kernels.def <<'PYTHON' || fail "the report is wrong"
import json, re, sys

parts = json.load(open(sys.argv[1]))["parts"]
assert list(parts) == ["ops", "memcheck", "racecheck", "losses", "determinism", "kernels", "train", "decode", "devices"], list(parts)
assert parts.pop("devices")["result"] == "this machine has one GPU"
assert all(p["status"] == "passed" and p["seconds"] > 0 for p in parts.values()), parts
assert parts["ops"]["assertions"] > parts["memcheck"]["assertions"] > 30, "the op table did not run"
assert len(parts["losses"]["bfloat16"]) == 3 and parts["losses"]["float32"] != parts["losses"]["bfloat16"]
assert 0 < parts["losses"]["bfloat16_differs_by"]["all"] < 2e-2
rows = parts["kernels"]["rows"]
names = set(re.findall(r"^KERNEL\((\w+)", open(sys.argv[2]).read(), re.M))
assert {r["kernel"] for r in rows} == names, names ^ {r["kernel"] for r in rows}
assert all(r["seconds"] > 0 and r["bytes"] > 0 and 0 < r["floor_seconds"] for r in rows)
rates = parts["kernels"]["ceilings"]
slowest = min(rows, key=lambda r: r["percent_of_floor"])
floor = max(slowest["bytes"] / rates["copy_bytes_per_second"], slowest["flops"] / rates["gemm_flops_per_second"])
assert abs(floor - slowest["floor_seconds"]) < 1e-9
(row,) = parts["train"]["rows"]
own = row["bough"]
assert abs(own["target_tokens_per_second"] * own["ms_per_update"] / 1e3 / row["target_tokens"] - 1) < 1e-2, row
assert [r["batch"] for r in parts["decode"]["rows"]] == [1, 32, 128]
assert all(r["target_tokens"] > r["sentences"] for r in parts["decode"]["rows"])
PYTHON
grep -q 'residual_dropout_norm_backward' "$work/all.txt" || fail "the kernels' table is missing"

# The default run's parts, and their sum: below nine minutes.
python3 - experiments/gpu/check.py <<'PYTHON' || fail "the default run has no room for its parts in 9 minutes"
import ast, sys

values = {n.targets[0].id: ast.literal_eval(n.value) for n in ast.parse(open(sys.argv[1]).read()).body
          if isinstance(n, ast.Assign) and n.targets[0].id in ("PARTS", "DEFAULT_LIMIT")}
assert sum(values["PARTS"].values()) <= values["DEFAULT_LIMIT"] < 540, values
PYTHON

# Several GPUs.
BOUGH_EMULATED_GPUS=3 check devices 0 '^devices +passed .*3 GPUs at .* the same bits; a killed one ends all in' devices --emulated
python3 - "$work/devices/gpu_check.json" <<'PYTHON' || fail "the rows of several GPUs are wrong"
import json, sys

part = json.load(open(sys.argv[1]))["parts"]["devices"]
assert [row["gpus"] for row in part["rows"]] == [1, 2, 3] and part["rows"][0]["percent_of_linear"] == 100, part
assert part["two_differ_from_one_by"] < 1e-4 and part["seconds_after_kill"] < 10, part
PYTHON

# A cell alone; a cell that is none; no time.
check cell 0 '^kernels +passed' kernels fill cast --emulated
[ "$(grep -c '"variant"' "$work/cell/gpu_check.json")" = 2 ] || fail "cell: other rows than those of fill and cast"
check wrong 1 "'bass' is no cell of train" train bass --emulated
check late 0 '^decode +skipped .*time' --emulated --limit 2
check nothing 1 'bough-.*-emulated. is missing' ops --emulated --build "$work"

# A kernel that breaks its process costs its own row alone.
mkdir "$work/breaks"
ln -s "$build"/bough-* "$work/breaks"
rm "$work/breaks/bough-kernel-speed-emulated"
cat >"$work/breaks/bough-kernel-speed-emulated" <<STAND_IN
#!/usr/bin/env bash
real=$build/bough-kernel-speed-emulated
[ "\$1" = run ] || exec "\$real" "\$@"
for kernel in "\${@:5}"; do  # run --device N --toy KERNEL...
  if [ "\$kernel" = fill ]; then echo "an illegal memory access"; exit 1; fi
  "\$real" "\${@:1:4}" "\$kernel"
done
STAND_IN
chmod +x "$work/breaks/bough-kernel-speed-emulated"
check broken 1 '^kernels +failed .* fill: an illegal memory access' kernels cast fill accumulate sum --emulated --build "$work/breaks"
[ "$(grep -c '"floor_seconds"' "$work/broken/gpu_check.json")" = 3 ] || fail "breaks: the rows beside the broken one are missing"

# compute-sanitizer: a stand-in that runs the program, and one that has found something. The other parts go on.
mkdir "$work/tools"
for tool in good bad; do
  mkdir "$work/tools/$tool"
  cat >"$work/tools/$tool/compute-sanitizer" <<TOOL
#!/usr/bin/env bash
while [ "\${1#--}" != "\$1" ]; do shift 2; done
"\$@"
if [ $tool = good ]; then echo "========= ERROR SUMMARY: 0 errors"; exit 0; fi
echo "========= Invalid __global__ write of size 4 bytes"
echo "========= ERROR SUMMARY: 1 error"
exit 99
TOOL
  chmod +x "$work/tools/$tool/compute-sanitizer"
done
PATH=$work/tools/good:$PATH check clean 0 '^memcheck +passed .* 0 errors' memcheck --emulated
PATH=$work/tools/bad:$PATH check dirty 1 '^memcheck +failed .* 1 error: Invalid __global__ write' memcheck --emulated

# Libraries: a program that needs one which is nowhere, then beside PyTorch, as its wheels lay them out.
echo 'int cublas() { return 0; }' >"$work/library.cc"
echo 'int cublas(); int main() { return cublas(); }' >"$work/program.cc"
mkdir -p "$work/programs" "$work/site/nvidia/cu13/lib"
g++ -shared -fPIC -Wl,-soname,libbough_stands_in.so.13 "$work/library.cc" -o "$work/site/nvidia/cu13/lib/libbough_stands_in.so.13"
g++ "$work/program.cc" "$work/site/nvidia/cu13/lib/libbough_stands_in.so.13" -o "$work/programs/bough-train"
check lost 1 'libbough_stands_in.so.13 was not found' ops --build "$work/programs"
PYTHONPATH=$work/site check found 1 'bough-kernel-speed. is missing' ops --build "$work/programs"
grep -q 'libbough_stands_in.so.13: .*site/nvidia/cu13/lib' "$work/found/gpu_check.log" || fail "found: another folder"
echo "gpu_check_test: all is well"
