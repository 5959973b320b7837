"""One parameter tensor: its directions, and what their bounds say about the 2-norm of its bias b.

Up to 8 numbers: a direction per coordinate, |b|^2 = sum m_k^2. More: K = 8 random unit directions, for which
sqrt(d) m_k is nearly N(0, |b|^2), so that with probability 1 - a

    |b| <= sqrt(d) max_k |m_k| / q,    (2 Phi(q) - 1)^K = a,

and the direction of the estimator's own mean, along which a wrong factor shows at full length.

Directions and steps are chosen when a block is first probed: where all parameters were cleared at once
(`reparam.check.joint`) that is never.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import torch

from reparam.check.draws import Runner
from reparam.check.probe import Probe
from reparam.check.reference import Objective, natural_step, settle
from reparam.noise import Noise

COORDINATES = 8  # largest block that is probed coordinate by coordinate
DIRECTIONS = 8  # K
SHARP = 1e-3  # largest rounding error of a slope that a block may be cleared under, in its natural size
OWN_TURNS = 3  # of K + 3 turns


@dataclass(frozen=True)
class Cleared:
    """What random directions through all parameters say of a block: an upper bound of |b|, and estimates."""

    upper: float
    bias: float
    factor: float
    draws: int


@dataclass
class Block:
    """The state of one parameter tensor; `exact` is its gradient where the caller gave it, `scale` the least unit."""

    name: str
    index: int
    size: int
    exact: np.ndarray | None = None
    probes: list[Probe] = field(default_factory=list)
    cleared: Cleared | None = None
    mixed: bool = False  # probed together with others, along its own mean and one random direction
    suspicion: float = 0.0
    turn: int = 0
    verdict: str = "inconclusive"
    scale: float = 0.0
    natural: float = 0.0  # values per root mean square of the parameter
    total: np.ndarray = field(default_factory=lambda: np.zeros(0))
    centre: np.ndarray = field(default_factory=lambda: np.zeros(0))
    squares: list[float] = field(default_factory=list)

    def accumulate(self, gradient: np.ndarray) -> None:
        """Add a draw of the gradient to its mean and variance."""
        if len(self.total) == 0:
            self.total, self.centre = np.zeros(self.size), gradient.copy()
        self.total += gradient
        away = gradient - self.centre
        self.squares.append(float(away @ away))

    @property
    def coordinates(self) -> bool:
        """Say whether the block is probed coordinate by coordinate."""
        return self.size <= COORDINATES and not self.mixed

    @property
    def count(self) -> int:
        """Return the number of directions that the block has, or will have."""
        return 2 if self.mixed else self.size if self.coordinates else DIRECTIONS + 1

    @property
    def norm(self) -> float:
        """Return the norm of the mean gradient, its noise subtracted."""
        variance = self.variance[0] / max(1, len(self.squares))
        square = float(self.mean @ self.mean)
        return math.sqrt(max(0.0, square - variance)) if math.isfinite(variance) else math.sqrt(square)

    @property
    def mean(self) -> np.ndarray:
        """Return the mean gradient."""
        return self.total / max(1, len(self.squares))

    @property
    def variance(self) -> tuple[float, float]:
        """Return the trace of the covariance of a draw and its standard error."""
        n = len(self.squares)
        if n < 2:
            return math.nan, math.nan
        shift = self.mean - self.centre
        q = np.array(self.squares)
        value = max(0.0, float(q.mean() - shift @ shift)) * n / (n - 1)
        return value, float(q.std() / np.sqrt(n))

    def next_probe(self) -> Probe:
        """Return the direction whose turn it is; the estimator's own one has three of eleven turns."""
        self.turn += 1
        first = self.probes[0]
        if not first.own:
            return self.probes[self.turn % len(self.probes)]
        others = self.probes[1:]
        place = self.turn % (len(others) + OWN_TURNS)
        return first if place < OWN_TURNS else others[place - OWN_TURNS]

    @property
    def draws(self) -> int:
        """Return the draws along all directions."""
        probed = sum(p.draws for p in self.probes)
        return max(probed, self.cleared.draws) if self.cleared else probed

    @property
    def guilty(self) -> list[Probe]:
        """Return the directions along which the bias is above zero, by a step that can be trusted."""
        return [p for p in self.probes if p.bias.lower > 0 and p.trusted]

    # --- norms -------------------------------------------------------------------------------------------

    @property
    def reference(self) -> float:
        """Return the norm of the reference gradient, its noise subtracted."""
        if self.cleared:
            return self.norm
        return self._norm([(p.slope_mean, p.slope_error) for p in self.probes])

    @property
    def estimate(self) -> float:
        """Return the norm of the bias, its noise subtracted; of a block that was cleared, an upper estimate."""
        if self.cleared:
            return self.cleared.bias
        return self._norm([(p.bias_mean, p.bias_error) for p in self.probes])

    def _norm(self, parts: list[tuple[float, float]]) -> float:
        if not parts:
            return 0.0
        squares = np.array([m * m - (e * e if math.isfinite(e) else m * m) for m, e in parts])
        if self.coordinates:
            return math.sqrt(max(0.0, squares.sum()))
        own, others = squares[0], squares[1:]
        if self.mixed:
            others *= [p.bias.lower > 0 for p in self.probes[1:]]
        return math.sqrt(max(0.0, own, self.size * others.mean()))

    def bounds(self, miss: float) -> tuple[float, float]:
        """Return a lower bound of |b| (false-alarm level) and an upper one (level `miss`)."""
        if self.cleared:
            return 0.0, self.cleared.upper
        if not self.probes:
            return 0.0, math.inf
        lower = [p.bias.lower for p in self.probes]
        if self.coordinates:
            return math.hypot(*lower), math.hypot(*(p.missed.upper for p in self.probes))
        if self.mixed:
            return max(lower), math.inf
        worst = max(p.missed.upper for p in self.probes[1:])
        return max(lower), math.sqrt(self.size) * worst / random_quantile(miss)

    @property
    def unit(self) -> float:
        """Return what the bias is measured against, max(|reference|, scale)."""
        return max(self.reference, self.scale)

    def sharp(self, tolerance: float) -> bool:
        """Say whether rounding hides no bias: it is below the tolerance, or far below the natural size of a slope."""
        return self.threshold(0.0) <= max(tolerance * self.unit, SHARP * self.natural)

    @property
    def factor(self) -> float:
        """Return E G . reference / |reference|^2 along the directions measured; nan where the reference is noise."""
        if self.cleared:
            return self.cleared.factor
        probes = self.probes if self.coordinates else self.probes[:1]
        if not probes or (not self.coordinates and probes[0].draws == 0):
            return math.nan
        g, r = ([getattr(p, name) for p in probes] for name in ("g_mean", "slope_mean"))
        error = math.hypot(*(p.slope_error if math.isfinite(p.slope_error) else 0.0 for p in probes))
        norm2 = float(np.dot(r, r))
        if norm2 == 0 or math.sqrt(norm2) < 3 * error:
            return math.nan
        return float(np.dot(g, r)) / norm2

    def threshold(self, tolerance: float) -> float:
        """Return the largest tolerated norm of the bias; never below what rounding can make."""
        rounding = [p.rounding() for p in self.probes] or [0.0, 0.0]
        floor = math.hypot(*rounding) if self.coordinates else math.sqrt(self.size) * max(rounding[1:])
        return max(tolerance * self.unit, 2 * floor)


def random_quantile(level: float) -> float:
    """Return q with (2 Phi(q) - 1)^K = level."""
    return NormalDist().inv_cdf((1 + level ** (1 / DIRECTIONS)) / 2)


def aim(block: Block, runner: Runner, objective: Objective | None, noise: Noise, precision: float) -> None:
    """Choose the directions and steps of a block; `precision` is the relative truncation that does not matter."""
    base, origin = runner.base[block.index], runner.origin[block.index]
    grain = torch.finfo(base.dtype).eps if objective is None else objective.grain
    d, mean = block.size, block.mean
    if block.coordinates:
        flats = list(np.eye(d))
    else:
        drawn = noise.normal((DIRECTIONS + 1, d), dtype=torch.float64).numpy()
        own = mean if mean.any() else drawn[0]
        flats = [v / np.linalg.norm(v) for v in (own, *drawn[1:])]
    step: float | None = None
    for k, flat in enumerate(flats):
        v = torch.from_numpy(flat).to(origin.device, origin.dtype).reshape(base.shape)
        probe = Probe(block.index, v, flat, objective, grain, own=not block.coordinates and k == 0)
        if objective is None:
            assert block.exact is not None
            probe.exact = float(flat @ block.exact)
        elif block.coordinates or step is None or k == 1:
            step = settle(objective, {block.index: v}, natural_step(base, v), precision)
        probe.h = step or 1.0
        block.probes.append(probe)
