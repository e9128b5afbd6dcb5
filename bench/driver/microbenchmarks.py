"""The build's programs, one for each peer: their rows, and what Google Benchmark says of them."""

import json
import os
import re
import signal
import subprocess
import tempfile

from peers import PeerFailed
from results import Metric

# Google Benchmark says in a row's name how it was repeated.
SUFFIX = re.compile(r"(/(iterations:\d+|manual_time|real_time|process_time|threads:\d+))+$")
OWN_FIELDS = {"name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions",
              "repetition_index", "threads", "iterations", "real_time", "cpu_time", "time_unit", "items_per_second"}

# The slowest row takes a hundredth of it.
TIMEOUT = 300


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


def check_preload(peer, context):
    """The loader only warns about a library that it cannot load."""
    if not peer.preload:
        return
    # A library may leave malloc itself to a second one beside it, or fill it in later: then it is not glibc's either.
    if os.path.realpath(context.get("malloc", "")).rsplit("/", 1)[-1].startswith("libc.so"):
        raise PeerFailed(f"{peer.preload} was not loaded, or does not define malloc")


class Microbenchmarks:
    def __init__(self, settings):
        self.settings = settings  # arguments of every program

    def rows_of(self, peer):
        """The rows that it can do, in the order of their registration."""
        text = call(peer, [*self.settings, "--benchmark_list_tests"], timeout=60)
        return list(dict.fromkeys(row_name(line) for line in text.split()))

    def measure(self, peer, rows):
        """[(Metric, value)], all from one process."""
        pattern = "^(" + "|".join(re.escape(row).replace(r"\-", "-") for row in rows) + ")(/[a-z_]+(:[0-9]+)?)*$"
        with tempfile.NamedTemporaryFile(prefix="keyslab-bench-", suffix=".json") as file:
            call(peer, [*self.settings, f"--benchmark_filter={pattern}", f"--benchmark_out={file.name}",
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
