#!/usr/bin/env python3
"""Searches the Promela models of the lock-free protocols, and their mutations.

Each model is searched exhaustively and must have no error and no statement that is never executed. A model
also declares mutations, one comment line each:

    /* MUTATION name: what is removed and what goes wrong */

`spin -DMUTATE_name` leaves that step out, and the search must then find an error: a step whose absence nothing
notices is either not needed or not tested. A statement that cannot be reached in the unchanged model is
declared by

    /* UNREACHED proctype "statement": why */
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
HERE = pathlib.Path(__file__).resolve().parent
DEPTH = 1_000_000
MEGABYTES = 1024
SECONDS = 120

MUTATION = re.compile(r"/\* MUTATION (\w+): ")
UNREACHED = re.compile(r'/\* UNREACHED (\w+) "(.*?)": ')


class Failure(Exception):
    pass


class Search:
    """The result of one run of pan."""

    def __init__(self, output, seconds):
        self.output = output
        self.seconds = seconds
        self.states = self.number(r"(\d+) states, stored")
        self.transitions = self.number(r"(\d+) transitions")
        self.depth = self.number(r"depth reached (\d+)")
        self.errors = self.number(r"errors: (\d+)")
        found = re.search(r"^pan:\d+: (.*?) \(at depth \d+\)", output, re.MULTILINE)
        self.error = found.group(1) if found else ""

    def number(self, pattern):
        found = re.search(pattern, self.output)
        if not found:
            raise Failure("no result from pan:\n" + self.output)
        return int(found.group(1))

    def incomplete(self):
        """Why the search was not exhaustive, or None."""
        for sign in ("Search not completed", "max search depth too small", "out of memory", "Bit statespace search",
                     "aborting"):
            if sign in self.output:
                return sign
        if "Full statespace search" not in self.output:
            return "no full search"
        return None

    def unreached(self):
        """Pairs of proctype and statement."""
        process = None
        for line in self.output.splitlines():
            if line.startswith("unreached in "):
                process = line.split()[-1]
                continue
            found = re.match(r'\s+\S+:\d+, state \d+, "(.*)"$', line)
            if process and found:
                yield process, found.group(1), line.strip()


def run(command, directory, seconds=SECONDS):
    try:
        done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=seconds, check=False)
    except subprocess.TimeoutExpired as expired:
        raise Failure(f"{command[0]}: not done after {seconds} s") from expired
    return done.returncode, done.stdout


def search(model, directory, mutation=None):
    """Builds the model in a directory of its own, and searches it up to the first error."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(model, directory)
    spin = ["spin"] + ([f"-DMUTATE_{mutation}"] if mutation else []) + ["-a", model.name]
    status, output = run(spin, directory)
    if status or not (directory / "pan.c").exists() or "Error" in output:
        raise Failure(" ".join(spin) + ":\n" + output)
    # A mutated model fails early: there the compiler takes longer than the search.
    optimise = "-O0" if mutation else "-O2"
    status, output = run(["gcc", optimise, "-w", "-DSAFETY", f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c"], directory)
    if status:
        raise Failure("gcc:\n" + output)
    start = time.monotonic()
    _, output = run(["./pan", f"-m{DEPTH}", "-w20"], directory)
    return Search(output, time.monotonic() - start)


def check(model, directory):
    """The model as it is."""
    result = search(model, directory / model.stem)
    if result.errors:
        raise Failure(f"{result.error}\n{result.output}\nThe trail is in {directory / model.stem}")
    reason = result.incomplete()
    if reason:
        raise Failure(f"the search was not exhaustive: {reason}\n{result.output}")
    expected = set(UNREACHED.findall(model.read_text()))
    found = {(process, statement): line for process, statement, line in result.unreached()}
    dead = [f"{key[0]}: {line}" for key, line in found.items() if key not in expected]
    if dead:
        raise Failure("never executed:\n    " + "\n    ".join(dead))
    stale = expected - set(found)
    if stale:
        raise Failure(f"declared as unreached, but reached: {stale}")
    return result


def check_mutation(model, directory, mutation):
    result = search(model, directory / f"{model.stem}-{mutation}", mutation)
    if not result.errors:
        raise Failure("no error found: nothing notices that the step is missing")
    if not re.match("assertion violated|invalid end state", result.error):
        raise Failure(f"another kind of error: {result.error}\n{result.output}")
    return result


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build-dir", type=pathlib.Path, metavar="DIR",
                        help="where to build and leave searches and trails (default: a temporary directory, removed)")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="entries, or entries.pml; default: all")
    return parser.parse_args()


def models_named(names):
    known = {path.stem: path for path in sorted(HERE.glob("*.pml"))}
    stems = [pathlib.Path(name).stem for name in names] or list(known)
    unknown = [stem for stem in stems if stem not in known]
    if unknown:
        sys.exit(f"no model is called {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[stem] for stem in stems]


def run_models(models, directory):
    failures = states = searched = caught = 0
    print(f"{'model':<10} {'states':>10} {'transitions':>12} {'depth':>7} {'seconds':>8}")
    for model in models:
        try:
            result = check(model, directory)
            searched += 1
            states += result.states
            print(f"{model.stem:<10} {result.states:>10} {result.transitions:>12} {result.depth:>7} "
                  f"{result.seconds:>8.2f}", flush=True)
        except Failure as failure:
            failures += 1
            print(f"{model.stem:<10} FAILED: {failure}", flush=True)
    print()
    for model in models:
        mutations = MUTATION.findall(model.read_text())
        if not mutations:
            failures += 1
            print(f"{model.stem:<10} FAILED: declares no mutation")
        for mutation in mutations:
            try:
                result = check_mutation(model, directory, mutation)
                caught += 1
                print(f"{model.stem:<10} {mutation:<20} caught: {result.error}", flush=True)
            except Failure as failure:
                failures += 1
                print(f"{model.stem:<10} {mutation:<20} FAILED: {failure}", flush=True)
    print()
    print(f"models: {searched} searched, {caught} mutations caught, {states} states")
    return failures


def main():
    options = arguments()
    models = models_named(options.models)
    missing = [tool for tool in ("spin", "gcc") if not shutil.which(tool)]
    if missing:
        print(f"skipped: {' and '.join(missing)} not installed")
        return SKIPPED
    if options.build_dir:
        options.build_dir.mkdir(parents=True, exist_ok=True)
        return 1 if run_models(models, options.build_dir.resolve()) else 0
    with tempfile.TemporaryDirectory(prefix="keyslab-models-") as directory:
        return 1 if run_models(models, pathlib.Path(directory)) else 0


if __name__ == "__main__":
    sys.exit(main())
