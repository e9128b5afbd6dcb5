#!/usr/bin/env python3
"""test_instructions.py PROGRAM COMPILER [--print]: the fast paths take no more instructions than docs/fast-path.md says.

Instructions are counted by callgrind inside of one public call, slow paths included, in a run of N and one of 2 N
operations; the difference counts, so that what happens once drops out. They are the same whatever else the machine
does, but not with another compiler or another processor's code, for which the test skips itself.
"""
import platform
import re
import shutil
import subprocess
import sys
import tempfile

COMPILER = "gcc 12"
MARGIN = 0.03
COUNT = 32 * 2000

# What is counted: the workload, the call, and instructions for each block.
LIMITS = {
    "allocation": ("pairs", "ks_alloc", 51.2),
    "free, own block": ("batches", "ks_free", 54.5),
    "free, the block that was allocated last": ("pairs", "ks_free", 36.0),
    "free, another thread's block": ("away", "ks_free", 109.5),
    "allocation, burst of 32": ("bursts", "ks_alloc_bulk", 10.2),
    "free, burst of 32, own blocks": ("bursts", "ks_free_bulk", 27.3),
    "free, burst of 32, another thread's blocks": ("bursts-away", "ks_free_bulk", 29.4),
}


def collected(program, workload, call, count):
    with tempfile.NamedTemporaryFile() as out:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}", f"--toggle-collect={call}",
                   program, workload, str(count)]
        run = subprocess.run(command, capture_output=True, text=True)
    match = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not match:
        sys.exit(f"{' '.join(command)}:\n{run.stderr}")
    return int(match.group(1))


def instructions(program, workload, call):
    return (collected(program, workload, call, 2 * COUNT) - collected(program, workload, call, COUNT)) / COUNT


def main():
    program, compiler = sys.argv[1:3]
    printing = sys.argv[3:] == ["--print"]
    if not printing:
        for missing, why in (
                (platform.machine() != "x86_64", "the counts are for x86-64"),
                (compiler != COMPILER, f"the counts are for {COMPILER}, this is {compiler}"),
                (not shutil.which("valgrind"), "valgrind is not there")):
            if missing:
                print(f"skipped: {why}")
                sys.exit(77)
    failed = False
    for name, (workload, call, limit) in LIMITS.items():
        counted = instructions(program, workload, call)
        above = counted > limit * (1 + MARGIN)
        failed |= above
        print(f"{name:45} {counted:6.1f} of {limit:6.1f}{'  TOO MANY' if above else ''}")
    sys.exit(failed and not printing)


main()
