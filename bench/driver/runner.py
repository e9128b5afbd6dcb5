"""A round after the other, every peer in turn in each: what they take is collected, row by row."""

import sys
import time

import distance
from peers import PeerFailed
from results import workload_of

# Their memory is counted from the start of the process: each row has one of its own.
ALONE = {"churn", "scope", "flows", "capture", "reset", "program"}

# Before the processors are looked at again: a hypervisor takes a second or so to move them.
PAUSE_SECONDS = 0.2


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
        groups.setdefault(row if workload.rsplit("/", 1)[-1] in ALONE else workload, []).append(row)
    return groups


class Run:
    def __init__(self, peers, rows, rounds, tries, results, meter):
        """`rows`: what measures each."""
        self.rounds = rounds
        self.tries = tries
        self.results = results
        self.meter = meter
        self.groups = groups_of(rows)
        self.sources = rows
        self.able = {}
        self.left_out = set()  # (peer, group) that failed
        for peer in peers:
            try:
                self.able[peer] = {row for source in dict.fromkeys(rows.values()) for row in source.rows_of(peer)}
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

    def measure(self, in_round, peer, rows):
        lines = {}
        for metric, value in self.sources[rows[0]].measure(peer, rows):
            if metric.counter in (distance.BEFORE, distance.AFTER):
                lines.setdefault(metric.row, {})[metric.counter] = value
            else:
                self.results.add(metric, peer.name, in_round, value)
        for row, line in lines.items():
            self.results.distances.add(row, peer.name, in_round, line[distance.BEFORE], line[distance.AFTER])

    def far(self, in_round, peer, rows):
        """Those that were measured at another distance than the nearest, and may be tried again."""
        distances = self.results.distances
        return [row for row in rows if distances.is_far(row, peer.name, in_round)
                and distances.of(row, peer.name, in_round).tries < self.tries]

    def one(self, in_round, group, peer, rows):
        if (peer, group) in self.left_out:
            return
        try:
            while rows:
                self.measure(in_round, peer, rows)
                rows = self.far(in_round, peer, rows)
                if rows:
                    time.sleep(PAUSE_SECONDS)
        except PeerFailed as failure:
            self.left_out.add((peer, group))
            self.problem(peer, group, str(failure))

    def repeat_far(self, in_round):
        """What was near when it was measured, and is no longer: something nearer has been seen since."""
        for group, peer, rows in self.steps(in_round):
            self.one(in_round, group, peer, self.far(in_round, peer, rows))

    def all(self):
        """True when it went to the end, False after an interruption: what there is by then is good."""
        progress = Progress(sum(1 for r in range(self.rounds) for _ in self.steps(r)))
        try:
            for in_round in range(self.rounds):
                for group, peer, rows in self.steps(in_round):
                    progress.show(f"round {in_round + 1} of {self.rounds}, {group}, {peer.name}")
                    self.one(in_round, group, peer, rows)
                    self.meter.look()
                    progress.step()
                self.repeat_far(in_round)
        except KeyboardInterrupt:
            return False
        finally:
            progress.clear()
        return True
