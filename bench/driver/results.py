"""All values of a run: by row, metric and peer, one for each round."""

from dataclasses import dataclass, field

import figures
from distance import Distances

OURS = "keyslab"
INLINE = "keyslab-inline"  # the same, by its inline header
TRANSPORT = "transport"
NEVER_BEST = {OURS, INLINE, TRANSPORT, "transport-ahead"}
RESIDENT = "resident/live"

# Before the name of the workload, where it is done in another way.
MANNERS = ("aged", "inline", "oversubscribed")


def workload_of(row):
    first, *others = row.split("/")
    return f"{first}/{others[0]}" if first in MANNERS else first


@dataclass(frozen=True)
class Metric:
    """A row's own time, where `counter` is empty, or a counter beside it. Less is better in all of them."""
    row: str
    counter: str = ""

    @property
    def name(self):
        counter = self.counter.removesuffix("_ns").removesuffix("_bytes")
        return f"{self.row} {counter}".rstrip()

    @property
    def unit(self):
        """ns, bytes, or none where it is a ratio."""
        if self.counter.endswith("_bytes"):
            return "bytes"
        return "" if "/" in self.counter else "ns"


@dataclass
class Results:
    about: dict = field(default_factory=dict)  # machine, settings, peers, how busy
    problems: list = field(default_factory=list)
    rounds: int = 0
    values: dict = field(default_factory=dict)  # Metric -> peer -> [value or None, one for each round]
    distances: Distances = field(default_factory=Distances)
    shown: list = field(default_factory=list)  # peers that tables have room for; empty: all

    def add(self, metric, peer, in_round, value):
        rounds = self.values.setdefault(metric, {}).setdefault(peer, [])
        rounds.extend([None] * (in_round + 1 - len(rounds)))
        rounds[in_round] = value
        self.rounds = max(self.rounds, in_round + 1)

    def of(self, metric, peer):
        return self.values.get(metric, {}).get(peer, [])

    def is_far(self, metric, peer, in_round):
        return self.distances.is_far(metric.row, peer, in_round)

    def spread(self, metric, peer=OURS):
        """Of the near rounds; where there is none, of the far ones."""
        by_kind = {False: [], True: []}
        for in_round, value in enumerate(self.of(metric, peer)):
            by_kind[bool(self.is_far(metric, peer, in_round))].append(value)
        return figures.spread(by_kind[False]) or figures.spread(by_kind[True], far=True)

    def ratio(self, metric, peer):
        return self.ratio_of((metric, OURS), (metric, peer))

    def ratio_of(self, ours, theirs):
        """Of two (metric, peer), round by round: near over near, and where there is no such round, far over far."""
        by_kind = {False: [], True: []}
        for in_round, pair in enumerate(zip(self.of(*ours), self.of(*theirs))):
            kinds = {self.is_far(*ours, in_round), self.is_far(*theirs, in_round)} - {None}
            if len(kinds) < 2:
                by_kind[True in kinds].append(pair)
        return figures.spread(figures.ratios(by_kind[False])) or figures.spread(figures.ratios(by_kind[True]), far=True)

    def peers_of(self, metric):
        """Those that keyslab is compared with: a bare transport is no allocator."""
        return [peer for peer in self.values.get(metric, {})
                if peer not in NEVER_BEST and self.spread(metric, peer)]

    def best(self, metric, among=None):
        """The peer with the least median."""
        peers = [peer for peer in self.peers_of(metric) if among is None or peer in among]
        return min(peers, key=lambda peer: self.spread(metric, peer).median, default=None)

    def peers(self):
        return [peer["name"] for peer in self.about.get("peers", [])]

    def peers_shown(self):
        return [peer for peer in self.peers() if not self.shown or peer in self.shown or peer == OURS]

    def general(self):
        """Peers that take the place of malloc."""
        return [peer["name"] for peer in self.about.get("peers", []) if peer["general"]]

    def to_json(self):
        rows = []
        for metric, peers in self.values.items():
            best = self.best(metric)
            rows.append({
                "row": metric.row, "counter": metric.counter, "unit": metric.unit, "best": best,
                "values": peers,
                "spread": {peer: vars(self.spread(metric, peer)) for peer in peers if self.spread(metric, peer)},
                "ratio": {peer: vars(ratio) for peer in self.peers_of(metric)
                          if (ratio := self.ratio(metric, peer))},
            })
        return {"about": self.about, "problems": self.problems, "rounds": self.rounds,
                "distances": self.distances.to_json(), "rows": rows}

    @classmethod
    def from_json(cls, data):
        results = cls(about=data["about"], problems=data["problems"], rounds=data["rounds"],
                      distances=Distances.from_json(data["distances"]))
        for row in data["rows"]:
            results.values[Metric(row["row"], row["counter"])] = row["values"]
        return results
