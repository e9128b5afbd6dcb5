"""How far apart the two processors were while a row was measured: what a cache line takes, as the row says itself.

A hypervisor moves its processors, and everything that threads hand to each other costs several times more for a while.
"""

import bisect
import math
from dataclasses import asdict, dataclass, field

BEFORE = "line_before_ns"
AFTER = "line_after_ns"
LIMIT = 1.5  # times the reference, or as part of it
COMMON = 0.2  # of all readings
TRIES = 10


@dataclass
class Measurement:
    before_ns: float
    after_ns: float
    tries: int

    @property
    def least(self):
        return min(self.before_ns, self.after_ns)

    @property
    def worst(self):
        return max(self.before_ns, self.after_ns)


@dataclass
class Distances:
    nearest_ns: float = math.inf  # the reference
    readings: list = field(default_factory=list, compare=False)  # rising; of what was repeated, too
    measurements: dict = field(default_factory=dict)  # row -> peer -> [Measurement or None, one for each round]

    def of(self, row, peer, in_round):
        rounds = self.measurements.get(row, {}).get(peer, [])
        return rounds[in_round] if in_round < len(rounds) else None

    def add(self, row, peer, in_round, before_ns, after_ns):
        rounds = self.measurements.setdefault(row, {}).setdefault(peer, [])
        rounds.extend([None] * (in_round + 1 - len(rounds)))
        tries = rounds[in_round].tries if rounds[in_round] else 0
        rounds[in_round] = Measurement(before_ns, after_ns, tries + 1)
        bisect.insort(self.readings, before_ns)
        bisect.insort(self.readings, after_ns)
        self.nearest_ns = self.nearest_common()

    def nearest_common(self):
        """What is seen once in a run may never come again: the least that a fifth of all readings are about as near as."""
        for place, reading in enumerate(self.readings):
            if bisect.bisect(self.readings, LIMIT * reading) - place >= COMMON * len(self.readings):
                return reading
        return math.inf

    def is_far(self, row, peer, in_round):
        """Whether it was measured at another distance; None where the row does not depend on it."""
        measurement = self.of(row, peer, in_round)
        return measurement and not (self.nearest_ns / LIMIT < measurement.least and
                                    measurement.worst <= LIMIT * self.nearest_ns)

    def all(self):
        return [(measurement, self.is_far(row, peer, in_round)) for row, peers in self.measurements.items()
                for peer, rounds in peers.items() for in_round, measurement in enumerate(rounds) if measurement]

    def sentence(self):
        """Empty where no row depends on it."""
        measurements = self.all()
        if not measurements:
            return ""
        repeated = sum(measurement.tries > 1 for measurement, _ in measurements)
        far = sum(is_far for _, is_far in measurements)
        return (f"a line takes {self.nearest_ns:.0f} ns between the processors; of {len(measurements)} measurements "
                f"{repeated} were repeated, and {far} stayed far: {LIMIT:g} times that, or nearer by as much")

    def to_json(self):
        return {
            "nearest_ns": self.nearest_ns if self.measurements else None, "limit": LIMIT,
            "repeated": sum(measurement.tries > 1 for measurement, _ in self.all()),
            "far": sum(is_far for _, is_far in self.all()),
            "measurements": {row: {peer: [measurement and asdict(measurement) for measurement in rounds]
                                   for peer, rounds in peers.items()} for row, peers in self.measurements.items()},
        }

    @classmethod
    def from_json(cls, data):
        measurements = {row: {peer: [measurement and Measurement(**measurement) for measurement in rounds]
                              for peer, rounds in peers.items()} for row, peers in data["measurements"].items()}
        return cls(nearest_ns=data["nearest_ns"] or math.inf, measurements=measurements)
