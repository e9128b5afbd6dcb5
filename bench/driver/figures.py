"""What is made of one value a round: medians, quartiles, and ratios that are taken round by round."""

from dataclasses import dataclass


def quantile(values, share):
    """Between the two nearest values, linearly; `values` in any order, one at least."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@dataclass(frozen=True)
class Spread:
    median: float
    first: float  # quartile
    third: float
    rounds: int

    @property
    def noise(self):
        """The distance between the quartiles, as a share of the median."""
        return (self.third - self.first) / self.median if self.median else 0.0


def spread(values):
    """Of the rounds that there are; None where there are none."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    return Spread(quantile(there, 0.5), quantile(there, 0.25), quantile(there, 0.75), len(there))


def ratios(ours, theirs):
    """Round by round, of the rounds that both have. What was zero on their side has no ratio."""
    return [a / b for a, b in zip(ours, theirs) if a is not None and b]


def ratio(ours, theirs):
    return spread(ratios(ours, theirs))
