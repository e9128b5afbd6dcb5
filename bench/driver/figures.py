"""What is made of one value a round: medians, quartiles, and ratios that are taken round by round."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    median: float
    first: float  # quartile
    third: float
    rounds: int
    far: bool = False  # of rounds in which the processors were far from each other, because there was no other

    @property
    def noise(self):
        """The distance between the quartiles, as a share of the median."""
        return (self.third - self.first) / self.median if self.median else 0.0


def spread(values, far=False):
    """Of the rounds that there are; None where there are none."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    first, median, third = statistics.quantiles(there, method="inclusive") if len(there) > 1 else there * 3
    return Spread(median, first, third, len(there), far)


def ratios(pairs):
    """Of the rounds that both have. What was zero on their side has no ratio."""
    return [ours / theirs for ours, theirs in pairs if ours is not None and theirs]
