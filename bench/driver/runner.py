"""Runs the programs, a round after the other, every peer in turn in each, and collects what they say."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from results import Metric, workload_of

# Google Benchmark says in a row's name how it was repeated.
SUFFIX = re.compile(r"(/(iterations:\d+|manual_time|real_time|process_time|threads:\d+))+$")
OWN_FIELDS = {"name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions",
              "repetition_index", "threads", "iterations", "real_time", "cpu_time", "time_unit", "items_per_second"}

# Their memory is counted from the start of the process: each row has one of its own.
ALONE = {"churn", "scope", "flows", "capture", "reset"}

# The slowest row takes a hundredth of it.
TIMEOUT = 300


class PeerFailed(Exception):
    pass


def row_name(name):
    return SUFFIX.sub("", name)


def last_words(text):
    lines = [line for line in text.strip().splitlines() if line and not line.startswith("***WARNING***")]
    return lines[-1] if lines else "it said nothing"


def call(peer, arguments, timeout=TIMEOUT):
    """Its standard output. PeerFailed says how it went wrong."""
    command = [peer.program, *arguments]
    try:
        done = subprocess.run(command, env=peer.environment(), capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"not done after {timeout} seconds") from None
    except OSError as error:
        raise PeerFailed(f"{peer.program}: {error.strerror}") from None
    if done.returncode < 0:
        raise PeerFailed(f"ended by {signal.Signals(-done.returncode).name}: {last_words(done.stderr)}")
    if done.returncode:
        raise PeerFailed(f"exit status {done.returncode}: {last_words(done.stderr)}")
    return done.stdout


def rows_of(peer, settings):
    """The rows that it can do, in the order of their registration."""
    text = call(peer, [*settings, "--benchmark_list_tests"], timeout=60)
    return list(dict.fromkeys(row_name(line) for line in text.split()))


def check_preload(peer, context):
    """The loader only warns about a library that it cannot load."""
    if not peer.preload:
        return
    # A library may leave malloc itself to a second one beside it, or fill it in later: then it is not glibc's either.
    if os.path.realpath(context.get("malloc", "")).rsplit("/", 1)[-1].startswith("libc.so"):
        raise PeerFailed(f"{peer.preload} was not loaded, or does not define malloc")


def run_rows(peer, rows, settings):
    """[(Metric, value)]"""
    pattern = "^(" + "|".join(re.escape(row).replace(r"\-", "-") for row in rows) + ")(/[a-z_]+(:[0-9]+)?)*$"
    with tempfile.NamedTemporaryFile(prefix="keyslab-bench-", suffix=".json") as file:
        call(peer, [*settings, f"--benchmark_filter={pattern}", f"--benchmark_out={file.name}",
                    "--benchmark_out_format=json"])
        try:
            data = json.load(file)
        except ValueError:
            raise PeerFailed("it wrote no results") from None
    check_preload(peer, data["context"])
    measured = []
    for entry in data["benchmarks"]:
        row = row_name(entry["name"])
        measured.append((Metric(row), 1e9 / entry["items_per_second"]))
        measured += [(Metric(row, counter), entry[counter]) for counter in sorted(entry.keys() - OWN_FIELDS)]
    missing = set(rows) - {metric.row for metric, _ in measured}
    if missing:
        raise PeerFailed(f"it left out {', '.join(sorted(missing))}")
    return measured


class Progress:
    """A line that is written over, on a terminal."""

    def __init__(self, steps):
        self.steps = steps
        self.done = 0
        self.start = time.monotonic()
        self.shown = sys.stderr.isatty()

    def show(self, text):
        if not self.shown:
            return
        passed = time.monotonic() - self.start
        left = f", {passed / self.done * (self.steps - self.done):.0f} s left" if self.done else ""
        sys.stderr.write(f"\r\033[K{self.done / self.steps:4.0%}{left}: {text}")
        sys.stderr.flush()

    def step(self):
        self.done += 1

    def clear(self):
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def groups_of(rows):
    """What one process does: the rows of a workload, or one row."""
    groups = {}
    for row in rows:
        workload = workload_of(row)
        groups.setdefault(row if workload in ALONE else workload, []).append(row)
    return groups


class Run:
    def __init__(self, peers, rows, settings, rounds, results, meter):
        self.settings = settings
        self.rounds = rounds
        self.results = results
        self.meter = meter
        self.groups = groups_of(rows)
        self.able = {}
        self.left_out = set()  # (peer, group) that failed
        for peer in peers:
            try:
                self.able[peer] = set(rows_of(peer, settings))
            except PeerFailed as failure:
                self.problem(peer, "", str(failure))

    def problem(self, peer, group, text):
        self.results.problems.append({"peer": peer.name, "rows": group, "problem": text})

    def in_turn(self, in_round):
        """Each peer comes first, second and so on in another round."""
        peers = list(self.able)
        start = in_round % len(peers) if peers else 0
        return peers[start:] + peers[:start]

    def steps(self, in_round):
        for group, rows in self.groups.items():
            for peer in self.in_turn(in_round):
                able = [row for row in rows if row in self.able[peer]]
                if able:
                    yield group, peer, able

    def one(self, in_round, group, peer, rows):
        try:
            for metric, value in run_rows(peer, rows, self.settings):
                self.results.add(metric, peer.name, in_round, value)
        except PeerFailed as failure:
            self.left_out.add((peer, group))
            self.problem(peer, group, str(failure))

    def all(self):
        """True when it went to the end, False after an interruption: what there is by then is good."""
        progress = Progress(sum(1 for r in range(self.rounds) for _ in self.steps(r)))
        try:
            for in_round in range(self.rounds):
                for group, peer, rows in self.steps(in_round):
                    progress.show(f"round {in_round + 1} of {self.rounds}, {group}, {peer.name}")
                    if (peer, group) not in self.left_out:
                        self.one(in_round, group, peer, rows)
                    self.meter.look()
                    progress.step()
        except KeyboardInterrupt:
            return False
        finally:
            progress.clear()
        return True
