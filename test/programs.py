"""Holds every program that the shell scripts of test/ and experiments/ call against the Debian packages that a script
can rely on: those that every Debian 12 has, and those that it has experiments/install.sh install."""
import os
import re
import subprocess
import sys
from pathlib import Path

from shell_commands import Script

# package: programs. Those of a package that another one depends on stand under that one.
ON_EVERY_DEBIAN = {
    "bash": "bash",
    "coreutils": """cat chmod cksum cp cut date dirname head id ln ls mkdir mkfifo mktemp mv nproc paste readlink rm seq
        sha256sum sleep sort stat tail timeout touch tr uname wc""",
    "diffutils": "cmp diff",
    "dpkg": "dpkg-deb dpkg-query",
    "findutils": "find xargs",
    "grep": "grep",
    "gzip": "gzip",
    "libc-bin": "ldd",
    "mawk": "awk",
    "perl-base": "perl",
    "sed": "sed",
    "tar": "tar",
    "util-linux": "setsid unshare",
}
INSTALLED = {
    "clang-format": "clang-format",
    "cmake": "cmake cpack ctest",
    "g++": "g++ readelf strip",  # by binutils
    "g++-aarch64-linux-gnu": "aarch64-linux-gnu-g++",
    "ninja-build": "ninja",
    "openmpi-bin": "mpirun",
    "python3": "python3",
    "python3-venv": "python3 -m venv",
    "qemu-user-static": "qemu-aarch64-static",
    "sentencepiece": "spm_encode",
}
# Programs that need not be there, in any script or in one, and why.
OPTIONAL = {
    "python3 in experiments/gpu_check.sh": "asked for first: an archive for a machine with a GPU installs nothing",
    "git": "README.md: a user has it",
    "apt-get": "install.sh asks for it first",
    "curl": "asked for first; --data FOLDER instead",
    "clang++-16": "asked for first; skipped",
    "chromium": "asked for first; skipped",
    "man": "asked for first; pages are then compared as they are",
    "qemu-x86_64-static": "asked for first; skipped",
}
# Parts of a package of the tables that have a package of their own, which that one depends on.
PART_OF = {"readelf": "binutils", "strip": "binutils", "python3": "python3-minimal"}


def packages_of_install(text):
    """option: packages, "" for those that every call installs."""
    found = {"": re.search(r'^packages="([^"]*)"', text, re.M).group(1).split()}
    for option, packages in re.findall(r'^ *(--[\w-]+)\) packages="\$packages ([^"]*)"', text, re.M):
        found[option] = packages.split()
    return found


def packages_for(name, text, offered):
    """What is installed where a script runs: after its own calls of install.sh, tests after that of test/run.sh, too."""
    text = f"install.sh --tests\n{text}" if name.startswith("test/") else text
    calls = re.findall(r"^[^#\n]*\binstall\.sh((?: --?\w+)*)", text, re.M)
    options = {option for call in calls for option in call.split()} | ({""} if calls else set())
    return {package for option in options for package in offered[option]}


def faults_in(name, text, functions, offered):
    """A sentence for each program that need not be there when the script calls it."""
    packages = packages_for(name, text, offered) | set(ON_EVERY_DEBIAN)
    home = {program: package for table in (ON_EVERY_DEBIAN, INSTALLED) for package, programs in table.items()
            for program in ([programs] if " -m " in programs else programs.split())}
    faults = []
    for program, line in Script(text).programs:
        if program in functions or {program, f"{program} in {name}"} & set(OPTIONAL):
            continue
        if program not in home:
            faults.append(f"{name}:{line}: '{program}' is in no table of test/programs.py, must come from a package "
                          "that is installed. Do without it, or add its package to experiments/install.sh and to the table.")
        elif home[program] not in packages:
            faults.append(f"{name}:{line}: '{program}' is of the package {home[program]}, which experiments/install.sh "
                          "does not install for this script. Do without it, or call install.sh with the option that has it.")
    return faults


def untruths():
    """Where this is Debian 12: a sentence for each row of the tables that it contradicts."""
    release = Path("/etc/os-release")
    if not release.exists() or not {"ID=debian", 'VERSION_ID="12"'} <= set(release.read_text().split("\n")):
        return []
    faults, owners = [], {}
    folders = ("/bin", "/usr/bin")
    every = [f"{folder}/{program}" for table in (ON_EVERY_DEBIAN, INSTALLED) for programs in table.values()
             for program in programs.split() for folder in folders]
    # Debian's alternatives are links.
    for line in output("dpkg", "-S", *every, *map(os.path.realpath, every)).splitlines():
        package, file = line.split(": ")
        owners[file] = owners.get(file, set()) | {package.split(":")[0]}
    for package, programs in {**ON_EVERY_DEBIAN, **INSTALLED}.items():
        shown = output("dpkg-query", "-W", "-f=${Essential} ${Priority}", package)
        if package in ON_EVERY_DEBIAN and not re.search("yes|required", shown):
            faults.append(f"test/programs.py: {package} is '{shown}', must be essential or required.")
        for program in programs.split() if " -m " not in programs else []:
            files = [f"{folder}/{program}" for folder in folders]
            of = set().union(*(owners.get(file, set()) for file in [*files, *map(os.path.realpath, files)]))
            if of and PART_OF.get(program, package) not in of:
                faults.append(f"test/programs.py: {program} is of {' '.join(sorted(of))}, not of {package}.")
    return faults


def output(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


PLANTED = """#!/bin/sh
# p0 'and' p0
name() { p1 -x; }  # p0
x=$(p2 "$(p3 'p0 `p0`')") y="${z:-$(p4)} $((1 + 2)) # p0"; name p0
cat <<END | p5 -p0 >p0 2>&1 || LC_ALL=C p6
p0 "$(p7)" it's
END
cat <<'END'
p0 $(p0)
END
if p8; then :; elif ! p9; then [[ p0 && $(p10) ]]; else (p11); fi
while p12 <<<"p0"; do p13 & done
case $x in p0 | "p0") p14 ;; *) p15 p0; esac
for p in p0 p0; do exec p16; done
timeout -k 1 5 p17; nice -n 5 p18; env -u X Y=1 p19; p20 | xargs -0 -n 1 p21 p0; sudo -u p0 p22; time p23
bash -c 'p24 && ! p25 "p0"'; trap 'p26; p27 p0' EXIT
list=(p0 "$(p28)" p0) find . -name p0 -exec p29 {} + ; p30 \
  p0; { p31; } ; command -v p0; /p0; "$p"/p0; ./p0 <(p32 p0); $p p0; echo "\$(p0)" p\
0 && command p33; check "p0" p34 p0
"""


def self_check():
    """Every planted program is found, on its line, and nothing else."""
    found = Script(PLANTED)
    planted = [(name, line) for name, line in found.programs if re.fullmatch(r"p\d+", name)]
    wanted = [(f"p{n}", next(i for i, text in enumerate(PLANTED.split("\n"), 1) if re.search(rf"\bp{n}\b", text)))
              for n in range(1, 35)]
    assert sorted(planted) == sorted(wanted), sorted(set(planted) ^ set(wanted))
    assert found.functions == {"name"}
    offered = packages_of_install('packages="a b"\n  --tests) packages="$packages python3" ;;\n')
    assert offered == {"": ["a", "b"], "--tests": ["python3"]}, offered
    for text, wanted in (("python3 x", "install"), ("./install.sh\npython3 x", "install"), ("unzip x", "in no table"),
                         ("./install.sh --tests\npython3 x", ""), ("name", ""), ("cat x | awk y || git z", "")):
        faults = faults_in("experiments/x.sh", text, {"name"}, offered)
        assert len(faults) == bool(wanted) and all(wanted in fault for fault in faults), (text, faults)


def main():
    self_check()
    root = Path(__file__).resolve().parent.parent
    texts = {str(path.relative_to(root)): path.read_text() for folder in ("test", "experiments", ".ci")
             for path in sorted((root / folder).rglob("*")) if path.suffix == ".sh" or path.parent.name == ".ci"}
    functions = set().union(*(Script(text).functions for text in texts.values()))
    offered = packages_of_install(texts["experiments/install.sh"])
    faults = [fault for name, text in texts.items() for fault in faults_in(name, text, functions, offered)] + untruths()
    print("\n".join(faults) or f"{len(texts)} scripts call nothing that need not be there")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
