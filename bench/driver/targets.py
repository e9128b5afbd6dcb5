"""What keyslab is meant to reach, held against a run."""

from dataclasses import dataclass

from results import OURS, Metric, workload_of

SIZES = ("64B", "256B", "576B", "1500B")
MEMPOOL = "dpdk"
FRAME_BUDGET_NS = 6.7  # 100 GbE at the smallest frame: 148.8 million a second


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


def to_best(results, metric, name, goal, among=None):
    best = results.best(metric, among)
    if best and (ratio := results.ratio(metric, best)):
        yield Target(name, goal, "", ratio, best)


def to_peer(results, metric, name, goal, peer):
    if ratio := results.ratio(metric, peer):
        yield Target(name, goal, "", ratio, peer)


def at_most(results, metric, name, goal, unit):
    if value := results.spread(metric):
        yield Target(name, goal, unit, value)


def growth(results, rows, name, goal):
    """The dearest setting over the first, round by round."""
    first, *others = rows
    spreads = [(results.ratio_of((Metric(row), OURS), (Metric(first), OURS)), row) for row in others]
    spreads = [(value, row) for value, row in spreads if value]
    if spreads:
        value, row = max(spreads, key=lambda pair: pair[0].median)
        yield Target(name, goal, "", value, f"{first} ({row})")


def rows_of(results, workload):
    return [metric for metric in results.values if not metric.counter and workload_of(metric.row) == workload]


def pair(results):
    for size in SIZES:
        yield from to_best(results, Metric(f"pair/{size}"), f"pair, {size}", 1.0)


def batch(results):
    for metric in rows_of(results, "batch"):
        _, order, size, live = metric.row.split("/")
        yield from to_best(results, metric, f"batch, {order}, {size}, {live} live", 0.6 if size == "1500B" else 1.0)


def bulk(results):
    for size in ("64B", "1500B"):
        apart = f"bulk-apart/{size}/32"
        yield from at_most(results, Metric(apart, "allocation_ns"), f"bulk of 32, {size}, allocation", 0.5, "ns")
        yield from at_most(results, Metric(apart, "free_ns"), f"bulk of 32, {size}, free", 2.0, "ns")
        best = results.best(Metric(f"pair/{size}"), results.general())
        if best and (ratio := results.ratio_of((Metric(f"bulk/{size}/32"), OURS), (Metric(f"pair/{size}"), best))):
            yield Target(f"bulk of 32, {size}", 0.3, "", ratio, f"{best}'s pair")


def handoff(results):
    for size in SIZES:
        metric = Metric(f"handoff/1to1/{size}")
        yield from to_best(results, metric, f"handoff 1 to 1, {size}", 0.35, results.general())
        yield from to_peer(results, metric, f"handoff 1 to 1, {size}", 1.0, MEMPOOL)
        yield from at_most(results, metric, f"handoff 1 to 1, {size}", FRAME_BUDGET_NS, "ns")


def churn(results):
    for metric in rows_of(results, "churn"):
        live = metric.row.split("/")[1]
        yield from to_best(results, metric, f"churn, {live} live", 0.9)
        yield from to_best(results, Metric(metric.row, "resident/live"), f"churn, {live} live, resident", 1.0)


def reset(results):
    million = Metric("reset/1000000")
    yield from at_most(results, million, "reset of a million blocks", 10000.0, "ns")
    yield from to_peer(results, million, "reset of a million blocks", 0.02, "mimalloc-heap")
    for peer in ("wmem-block", "wmem-block-fast"):
        yield from to_peer(results, million, "reset of a million blocks", 1.0, peer)
    rows = sorted((metric.row for metric in rows_of(results, "reset")), key=lambda row: int(row.split("/")[1]))
    if rows:
        yield from growth(results, rows, "reset, more blocks", 2.0)
    for row in rows:
        yield from at_most(results, Metric(row, "after/steady"), f"allocations after {row}, over steady ones", 2.0, "")


def keys_and_threads(results):
    for name, rows in (("keys", [f"keys/{n}" for n in (1, 16, 256, 4096)]),
                       ("threads, pair", [f"threads/pair/{n}" for n in (1, 2, 4, 16, 64)]),
                       ("threads, batch", [f"threads/batch/{n}" for n in (1, 2, 4, 16, 64)])):
        yield from growth(results, rows, name, 1.2)


def capture(results):
    yield from to_best(results, Metric("capture/frames"), "capture, time a frame", 1.0)


def evaluate(results):
    """Those that the run has rows for."""
    return [target for part in (pair, batch, bulk, handoff, churn, reset, keys_and_threads, capture)
            for target in part(results)]
