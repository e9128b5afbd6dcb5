"""What keyslab is meant to reach, held against a run: as a shared library, and inline where that was measured."""

import re
from dataclasses import dataclass

from results import INLINE, OURS, RESIDENT, TRANSPORT, Metric, workload_of

WMEM = ("wmem-block", "wmem-block-fast")
FLAT = 1.2  # times the first

# All that the goals are about.
ROWS = re.compile(r"(inline/)?(pair/|batch/\w+/\w+/(1024|65536)$|bulk/\w+/32$|(aged/)?handoff(-single)?/"
                  r"|(capture|churn|flows|scope|realloc|reset|keys|threads)/|oversubscribed/(pair|batch)/)")


def wants_row(row):
    return ROWS.match(row)


def wants_peer(peer):
    return peer.general or peer.name in (OURS, INLINE, TRANSPORT, *WMEM)


@dataclass
class Target:
    name: str
    goal: float
    unit: str  # empty for a ratio
    value: object  # a Spread
    against: str = ""

    @property
    def met(self):
        return self.value.median <= self.goal

    def to_json(self):
        return {"name": self.name, "goal": self.goal, "unit": self.unit, "value": vars(self.value),
                "against": self.against, "met": self.met}


def forms_of(metric, goal, inline):
    """(suffix of the name, goal, metric, peer) of each form of keyslab that has a goal; inline is a peer, or a row."""
    yield "", goal, metric, OURS
    if inline:
        yield ", inline", inline, metric, INLINE
        yield ", inline", inline, Metric(f"inline/{metric.row}", metric.counter), OURS


def to_peer(results, metric, name, goal, inline=None, peer=None, theirs=None):
    """The ratio to `peer`, by default the best general one, which has `theirs`, by default the same metric."""
    theirs = theirs or metric
    peer = peer or results.best(theirs, results.general())
    for suffix, form_goal, ours, form in forms_of(metric, goal, inline):
        if ratio := results.ratio_of((ours, form), (theirs, peer)):
            yield Target(name + suffix, form_goal, "", ratio, peer if theirs == metric else f"{peer}, {theirs.name}")


def at_most(results, metric, name, goal, unit):
    if value := results.spread(metric):
        yield Target(name, goal, unit, value)


def growth(results, rows, name):
    """The dearest setting over the first, round by round."""
    if not rows:
        return
    first, *others = rows
    spreads = [(results.ratio_of((Metric(row), OURS), (Metric(first), OURS)), row) for row in others]
    spreads = [(value, row) for value, row in spreads if value]
    if spreads:
        value, row = max(spreads, key=lambda pair: pair[0].median)
        yield Target(name, FLAT, "", value, f"{first} ({row})")


def rows_of(results, *workloads):
    return [metric for metric in results.values if not metric.counter and workload_of(metric.row) in workloads]


def setting(row):
    return int(row.rsplit("/", 1)[-1])


def with_resident(results, metric, goal, inline=None):
    yield from to_peer(results, metric, metric.row, goal, inline)
    yield from to_peer(results, Metric(metric.row, RESIDENT), f"{metric.row}, resident", 1.0)


def capture(results):
    for metric in rows_of(results, "capture"):
        yield from with_resident(results, metric, 0.85, 0.80)


def handoff(results):
    for metric in rows_of(results, "handoff-single", "aged/handoff-single"):
        goal = 1.0 if metric.row.endswith("/64B") else 0.7
        yield from to_peer(results, metric, metric.row, goal, goal)
    for metric in rows_of(results, "handoff", "aged/handoff"):
        yield from to_peer(results, metric, metric.row, 0.5, 0.5)
        yield from to_peer(results, metric, metric.row, 1.25, 1.25, TRANSPORT)


def bulk(results):
    """1.5 ns for a block where a pair of the best is 4."""
    for metric in rows_of(results, "bulk"):
        _, size, burst = metric.row.split("/")
        if burst == "32":
            yield from to_peer(results, metric, metric.row, 1.5 / 4, 1.5 / 4, theirs=Metric(f"pair/{size}"))


def batch(results):
    goals = {"65536": (0.6, 0.5), "1024": (1.25, 1.0)}
    for metric in rows_of(results, "batch"):
        if live := goals.get(metric.row.rsplit("/", 1)[-1]):
            yield from to_peer(results, metric, metric.row, *live)


def pair(results):
    for metric in rows_of(results, "pair"):
        yield from to_peer(results, metric, metric.row, 1.25, 1.0)


def live_sets(results):
    for metric in rows_of(results, "churn", "flows", "scope"):
        if metric.row != "scope/packet":
            yield from with_resident(results, metric, 1.0)


def scope_of_a_packet(results):
    metric = Metric("scope/packet")
    yield from to_peer(results, metric, metric.row, 1.0)
    if wmem := results.best(metric, WMEM):
        yield from to_peer(results, metric, metric.row, 4.0, peer=wmem)


def realloc(results):
    for metric in rows_of(results, "realloc"):
        yield from to_peer(results, metric, metric.row, 1.0, peer="jemalloc")


def reset(results):
    rows = sorted((metric.row for metric in rows_of(results, "reset")), key=setting)
    for row in rows:
        yield from at_most(results, Metric(row), row, 1000.0, "ns")
    yield from growth(results, rows, "reset, more blocks")


def keys_and_threads(results):
    yield from growth(results, sorted((metric.row for metric in rows_of(results, "keys")), key=setting), "more keys")
    for what in ("pair", "batch"):
        rows = [metric.row for metric in rows_of(results, "threads", f"oversubscribed/{what}")
                if f"/{what}/" in metric.row]
        yield from growth(results, sorted(rows, key=setting), f"more threads, {what}")


def evaluate(results):
    """Those that the run has rows for."""
    parts = (capture, handoff, bulk, batch, pair, live_sets, scope_of_a_packet, realloc, reset, keys_and_threads)
    return [target for part in parts for target in part(results)]
