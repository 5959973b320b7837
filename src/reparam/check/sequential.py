"""Confidence bounds for a mean that hold at every look, for any law of the draws with a range that was seen.

X_1, X_2, ... have conditional mean m given the past (independent draws, or a martingale: a loss may keep a state).
With everything on the right known before X_t is drawn,

    mean_{t-1}, s_{t-1}     running mean and root-mean-square deviation
    R_t = 2 max_{s<t} |X_s - mean_{s-1}|                 the range: twice the largest deviation so far
    lambda_t = min( sqrt(2 L / (n s_{t-1}^2)), 0.9 / R_t ),   L = log(2 / a)

the empirical-Bernstein inequality says that, with probability at least 1 - a at a look of n draws,

    | sum lambda_t X_t / sum lambda_t - m |  <=  ( L + sum psi(lambda_t R_t) (X_t - mean_{t-1})^2 / R_t^2 )
                                                 / sum lambda_t,
    psi(x) = -log(1 - x) - x,     as long as |X_t - mean_{t-1}| <= R_t.

A draw beyond its range voids the bound: counting then starts again after it, with the larger range. Look i (every
look that can lead to a verdict, restarts included) spends a_i = a / ((i+1)(i+2)), whose sum is a.

References: waudby-smith2024, howard2021.
"""

import math
from dataclasses import dataclass, field

import numpy as np

BURN_IN = 8  # draws that set the first range and are not counted
GROWTH = 1.4  # ratio of the numbers of draws of two looks
CAP = 0.9  # largest lambda_t R_t


@dataclass
class Stream:
    """The values of one statistic, and when it is looked at next."""

    values: list[float] = field(default_factory=list)
    looks: int = 0
    next_look: int = 2 * BURN_IN

    def add(self, value: float) -> bool:
        """Append a value; say whether a look is due."""
        self.values.append(value)
        return len(self.values) >= self.next_look

    def restart(self) -> None:
        """Forget the values, keep the count of looks."""
        self.values.clear()
        self.next_look = 2 * BURN_IN

    def take_look(self, *, counts: bool) -> int:
        """Plan the next look, return the number of this one; one that can have no consequence does not count."""
        self.looks += counts
        self.next_look = math.ceil(GROWTH * len(self.values))
        return max(0, self.looks - 1)


@dataclass(frozen=True)
class Bound:
    """A centre and a half-width for a mean, in the units of the draws."""

    centre: float
    half_width: float

    @property
    def lower(self) -> float:
        """Return the least |m| inside the bound."""
        return max(0.0, abs(self.centre) - self.half_width)

    @property
    def upper(self) -> float:
        """Return the largest |m| inside the bound."""
        return abs(self.centre) + self.half_width


def spend(level: float, look: int) -> float:
    """Return a / ((i+1)(i+2)), the share of the level a that look i = 0, 1, ... may use."""
    return level / ((look + 1) * (look + 2))


def bernstein(values: np.ndarray, level: float, floor: float, reach: float = 0.0) -> Bound:
    """Return the bound above for the mean of `values` at error probability `level`.

    Args:
        values: X_1 .. X_n, the first `BURN_IN` of which only set the range.
        level: a, in (0, 1).
        floor: the rounding error of one value, > 0.
        reach: the least range, known before the draws.
    """
    mean, s2, radius, deviation = _past(values, floor, max(floor, reach))
    if len(deviation) == 0:
        return Bound(float(np.mean(values)) if len(values) else 0.0, math.inf)
    L = math.log(2 / level)
    n = len(deviation)
    lam = np.minimum(np.sqrt(2 * L / (n * s2)), CAP / radius)
    x = lam * radius
    psi = -np.log1p(-x) - x
    total = lam.sum()
    half_width = (L + (psi * (deviation / radius) ** 2).sum()) / total
    return Bound(float((lam * (deviation + mean)).sum() / total), float(half_width))


def _past(
    values: np.ndarray, floor: float, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean_{t-1}, s_{t-1}^2, R_t and X_t - mean_{t-1} for the counted draws."""
    if len(values) <= BURN_IN:
        return (np.zeros(0),) * 4
    count = np.arange(1, len(values))
    mean = np.concatenate([values[:1], np.cumsum(values)[:-1] / count])
    deviation = values - mean
    past = slice(0, -1)
    s2 = np.concatenate([[0.0], np.cumsum(deviation**2)[past] / count])
    widest = np.concatenate([[0.0], np.maximum.accumulate(np.abs(deviation))[past]])
    radius = np.maximum(2 * widest, reach)
    beyond = np.flatnonzero(np.abs(deviation) > radius)
    beyond = beyond[beyond >= BURN_IN]
    start = max(BURN_IN, beyond[-1] + 1 if len(beyond) else 0)
    counted = slice(start, None)
    return mean[counted], np.maximum(s2[counted], floor**2), radius[counted], deviation[counted]
