"""One direction of one block: the mean of  v . G - R6  over draws, G the autograd gradient, R6 the difference.

    m_v = E[v . G] - d/dh E l(phi + h v) = v . b,   b the bias of the block

Both terms are taken at the same draw, so where the loss is smooth at fixed noise and the gradient right, every term
is zero to rounding. Where it is not, the step adapts: it grows while the difference is what makes the noise, and
halves when T = R6 - R4 shows that it is too long.
"""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from reparam.check.reference import Difference, Objective
from reparam.check.sequential import Bound, Stream, bernstein, spend

LARGEST_GROWTH = 12  # doublings of a step that noise asks for
GROW_UNTIL = 600  # draws after which a step no longer grows


@dataclass
class Probe:
    """A direction and the draws along it."""

    block: int
    v: Tensor  # unit length
    flat: np.ndarray  # the same, float64
    objective: Objective | None  # None: the exact slope is known
    epsilon: float = 1e-16  # rounding unit of G
    exact: float = 0.0
    h: float = 1.0
    own: bool = False  # the direction of the estimator's own mean
    stream: Stream = field(default_factory=Stream)
    g: list[float] = field(default_factory=list)
    slope: list[float] = field(default_factory=list)
    truncation: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    doublings: int = 0
    may_grow: bool = True
    may_shrink: bool = True
    curved: float = np.inf  # spread of T at twice the step
    bias: Bound = field(default_factory=lambda: Bound(0.0, np.inf))  # at the false-alarm level
    missed: Bound = field(default_factory=lambda: Bound(0.0, np.inf))  # at the level of a missed bias

    def observe(self, k: int, gradient: np.ndarray) -> bool:
        """Add draw k; say whether a look is due."""
        g = float(self.flat @ gradient)
        if self.objective is None:
            self.g.append(g)
            return self.stream.add(g - self.exact)
        row = self.objective.difference(k, {self.block: self.v}, self.h)
        if not np.isfinite(row.slope):
            self._restart(self.h / 2)
            self.may_grow = False
            return False
        return self.record(g, row)

    def record(self, g: float, row: Difference) -> bool:
        """Add v . G and the stencil of a draw; say whether a look is due."""
        self.g.append(g)
        self.slope.append(row.slope)
        self.truncation.append(row.truncation)
        self.first.append(row.first)
        self.spread.append(row.spread)
        return self.stream.add(g - row.slope)

    def look(self, alarm: float, miss: float, target: float, *, counts: bool, adapt: bool) -> None:
        """Take a look: bounds at the levels `alarm` and `miss` if it counts, then a better step if there is one.

        Args:
            alarm: share of the false-alarm level for all looks of this probe.
            miss: share of the level of a missed bias.
            target: truncation that does not matter, in units of the slope.
            counts: whether a verdict may follow; one that cannot spends nothing.
            adapt: whether the step may change afterwards, which starts the draws anew.
        """
        i = self.stream.take_look(counts=counts)
        if counts:
            values, floor, system = np.array(self.stream.values), self.rounding(1), self.system
            bounds = [bernstein(values, spend(level, i), floor) for level in (alarm, miss)]
            self.bias, self.missed = (Bound(b.centre, b.half_width + system) for b in bounds)
        if adapt and self.objective is not None:
            self._adapt(target)

    @property
    def system(self) -> float:
        """Return the bound on what truncation and rounding add to the mean: (|T| + 3 se) / 3 + rounding."""
        if len(self.truncation) < 2:
            return self.rounding()
        T = np.array(self.truncation)
        return float((abs(T.mean()) + 3 * T.std() / np.sqrt(len(T))) / 3 + self.rounding())

    @property
    def trusted(self) -> bool:
        """Say whether the step is in the range where the series in h holds: |D_1 - D_3| below half the slope."""
        if self.objective is None:
            return True
        excess, error = _mean_and_error(self.spread)
        return excess + 2 * error <= 0.5 * max(abs(self.slope_mean), abs(self.g_mean)) + self.rounding()

    @property
    def bias_mean(self) -> float:
        """Return the mean of v . G - R6."""
        return self.g_mean - self.slope_mean

    @property
    def bias_error(self) -> float:
        """Return the standard error of `bias_mean`."""
        return _mean_and_error(self.stream.values)[1]

    @property
    def g_mean(self) -> float:
        """Return the mean of v . G."""
        return float(np.mean(self.g)) if self.g else 0.0

    @property
    def slope_mean(self) -> float:
        """Return the mean slope of the reference along v."""
        return self.exact if self.objective is None else float(np.mean(self.slope)) if self.slope else 0.0

    @property
    def slope_error(self) -> float:
        """Return the standard error of `slope_mean`."""
        return 0.0 if self.objective is None else _mean_and_error(self.slope)[1]

    @property
    def draws(self) -> int:
        """Return the number of draws since the step was last changed."""
        return len(self.stream.values)

    def rounding(self, draws: int | None = None) -> float:
        """Return the error that rounding can make in the mean over draws (default: those so far)."""
        size = float(np.mean(np.abs(self.g))) if self.g else 0.0
        if self.objective is None:
            return 4 * self.epsilon * size + 1e-300
        n = max(1, self.draws if draws is None else draws)
        return 4 * self.epsilon * size + self.objective.rounding(self.h, n)

    def _adapt(self, target: float) -> None:
        cut, error = _mean_and_error(self.truncation)
        excess, wide = _mean_and_error(self.spread)
        half = 0.5 * max(abs(self.slope_mean), abs(self.g_mean)) + self.rounding()
        if (cut - 4 * error) / 3 > target + self.rounding() or excess - 4 * wide > half:
            self._restart(self.h / 2)
            self.may_grow = False
        elif self._tight() and error > target and self.may_shrink:
            self._shrink(float(np.std(self.truncation)))
        elif self._noise_of_difference() and excess - 2 * wide <= half and cut <= 3 * error:
            self.doublings += 1
            self._restart(2 * self.h)

    def _shrink(self, truncation: float) -> None:
        """Halve the step where a few strongly curved draws make the noise; undo it where jumps make it."""
        self.may_grow = False
        if truncation > 0.5 * self.curved:
            self.may_shrink = False
            self._restart(2 * self.h)
        else:
            self.curved = truncation
            self._restart(self.h / 2)

    def _noise_of_difference(self) -> bool:
        young = self.may_grow and self.doublings < LARGEST_GROWTH and self.draws < GROW_UNTIL
        return young and not self._tight() and np.var(self.slope) > np.var(self.g)

    def _tight(self) -> bool:
        """Say whether the median draw of the gradient is the slope."""
        residual = np.array(self.g) - np.array(self.slope)
        return bool(np.median(np.abs(residual)) <= 0.05 * np.median(np.abs(self.slope)) + self.rounding())

    def _restart(self, h: float) -> None:
        self.h = h
        for values in (self.g, self.slope, self.truncation, self.spread, self.first):
            values.clear()
        self.stream.restart()
        self.bias = self.missed = Bound(0.0, np.inf)


def _mean_and_error(values: list[float]) -> tuple[float, float]:
    """Return |mean| and its standard error."""
    if len(values) < 2:
        return 0.0, np.inf
    x = np.array(values)
    return float(abs(x.mean())), float(x.std() / np.sqrt(len(x)))
