"""Whole programs that know nothing of keyslab, in rows program/NAME.

General peers take the place of their malloc, and libkeyslab-malloc.so does for keyslab. A row's own figure is the time
from a program's start to its end, or of a client's whole conversation with a server.
"""

import json
import os
import subprocess
import sys
import tempfile

import build
from peers import PeerFailed
from results import OURS, Metric

sys.path.append(os.path.join(build.ROOT, "tools"))
import experts  # noqa: E402
import workloads  # noqa: E402

PREFIX = "program/"
QUICK_SIZE = 0.2


def wants_row(row):
    return row.startswith(PREFIX)


def wants_peer(peer):
    return peer.general or peer.name == OURS


class MeasuringLauncher(workloads.Launcher):
    """Starts everything by `measure`, which preloads the library into the command only, and says what it took."""

    def __init__(self, measure, library, path, environment=None):
        super().__init__(environment=environment)
        self.environment.pop("LD_PRELOAD", None)
        self.prefix = [measure, "-o", path] + (["-p", library] if library else [])


class Programs:
    def __init__(self, folder, quick, scratch):
        self.launcher = os.path.join(folder, "measure")
        self.library = os.path.realpath(os.path.join(folder, "..", "lib", "malloc", "libkeyslab-malloc.so"))
        self.size = QUICK_SIZE if quick else 1.0
        self.scratch = scratch
        kinds = workloads.ALL + experts.found(folder)
        self.workloads = {PREFIX + kind.name: kind for kind in kinds if not kind.missing()}
        self.missing = {PREFIX + kind.name: name for kind in workloads.ALL for name in kind.missing()}
        self.prepared = {}  # row -> (workload, its output without any library)
        self.warm = set()  # (row, peer) that ran before

    @property
    def built(self):
        return os.access(self.launcher, os.X_OK) and os.path.isfile(self.library)

    def library_of(self, peer):
        return self.library if peer.name == OURS else peer.preload

    def rows_of(self, peer):
        if not self.built or not wants_peer(peer):
            return []
        library = self.library_of(peer)
        # The loader only warns about a library that it cannot load.
        if library and subprocess.run(["true"], env=os.environ | {"LD_PRELOAD": library}, capture_output=True).stderr:
            raise PeerFailed(f"{library} was not loaded")
        return list(self.workloads)

    def measure(self, peer, rows):
        """[(Metric, value)]"""
        try:
            return [pair for row in rows for pair in self.measure_row(peer, row)]
        except (workloads.Failed, subprocess.TimeoutExpired, OSError) as failure:
            raise PeerFailed(str(failure)) from None

    def measure_row(self, peer, row):
        if row not in self.prepared:
            workload = self.workloads[row](self.scratch, self.size)
            workload.prepare()
            self.prepared[row] = workload, workload.run(workloads.Launcher())
        if (row, peer) not in self.warm:
            self.run(peer, row)
            self.warm.add((row, peer))
        taken = self.run(peer, row)
        return [
            (Metric(row), self.prepared[row][0].nanoseconds or 1e9 * sum(process["wall"] for process in taken)),
            (Metric(row, "cpu_ns"), 1e9 * sum(process["user"] + process["system"] for process in taken)),
            (Metric(row, "peak_bytes"), max(process["peak"] for process in taken)),
        ]

    def launcher_of(self, peer, workload, path):
        if peer.name == OURS and workload.of_others:
            return MeasuringLauncher(self.launcher, "", path)
        return MeasuringLauncher(self.launcher, self.library_of(peer), path, workload.of_others)

    def run(self, peer, row):
        """What each of its processes took."""
        workload, expected = self.prepared[row]
        with tempfile.NamedTemporaryFile("r", dir=self.scratch) as file:
            output = workload.run(self.launcher_of(peer, workload, file.name))
            taken = [json.loads(line) for line in file]
        if output != expected:
            raise PeerFailed("its output is another one than without")
        return taken
