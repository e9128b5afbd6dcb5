"""What a capture author looks at first: a dozen rows, keyslab and each general peer, the ratio to the best of them."""

import text
from results import OURS, RESIDENT, Metric, workload_of

# Those in a group stand for each other: the first that the run has, as --quick has smaller ones.
ROWS = [
    ["capture/frames"],
    ["handoff/1to1/64B"],
    ["aged/handoff/1to1/64B"],
    ["handoff/1to1/1500B"],
    ["aged/handoff/1to1/1500B"],
    ["bulk/1500B/32"],
    ["flows/200000", "flows/10000"],
    ["churn/256MiB", "churn/32MiB"],
    ["scope/packet"],
    ["scope/file"],
    ["reset/1000000"],
    ["pair/1500B"],
    ["batch/random/1500B/65536"],
    ["realloc/64KiB"],
]
# Of capture the peak, when the ring is full: at its end nothing is on its way.
MEMORY = {"capture": "peak/live", "flows": RESIDENT, "churn": RESIDENT}


def wants_row(row):
    return any(row in group for group in ROWS)


def wants_peer(peer):
    return peer.general or peer.name == OURS


def metrics_of(results):
    """For each line of the table, one or two metrics."""
    for group in ROWS:
        for row in group:
            if results.spread(Metric(row)):
                memory = MEMORY.get(workload_of(row))
                yield [Metric(row)] + ([Metric(row, memory)] if memory else [])
                break


def best_ratio(results, metric):
    """In bold where keyslab loses."""
    ratio = results.ratio(metric, results.best(metric, results.general()))
    if not ratio:
        return "-"
    cell = text.median(ratio)
    return f"**{cell}**" if ratio.median > 1 else cell


def figure(results, metric, peer):
    return text.median(results.spread(metric, peer), metric.unit) or "-"


def beside(cells):
    """The row's own, and in brackets what was counted beside it."""
    own, *counted = cells
    return " ".join([own, *(f"({cell})" for cell in counted)])


def report(results):
    peers = [peer for peer in (OURS, *results.general()) if peer in results.peers_shown()]
    rows = [[beside([metrics[0].row, *(metric.counter for metric in metrics[1:])]),
             *(beside([figure(results, metric, peer) for metric in metrics]) for peer in peers),
             beside([best_ratio(results, metric) for metric in metrics])] for metrics in metrics_of(results)]
    return text.with_notes(results, ["ns", *peers, "keyslab over the best"], rows)
