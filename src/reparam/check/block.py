"""One parameter tensor: its directions, and what their bounds say about the 2-norm of its bias b.

Up to 8 numbers: a direction per coordinate, |b|^2 = sum m_k^2. More: K = 8 random unit directions, for which
sqrt(d) m_k is nearly N(0, |b|^2), so that with probability 1 - a

    |b| <= sqrt(d) max_k |m_k| / q,    (2 Phi(q) - 1)^K = a,

and the direction of the estimator's own mean, along which a wrong factor shows at full length.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import torch

from reparam.check.probe import Probe
from reparam.check.reference import Objective, natural_step, settle
from reparam.noise import Noise

COORDINATES = 8  # largest block that is probed coordinate by coordinate
DIRECTIONS = 8  # K
OWN_TURNS = 3  # of K + 3 turns


@dataclass
class Block:
    """The state of one parameter tensor."""

    name: str
    index: int
    probes: list[Probe]
    coordinates: bool
    size: int
    turn: int = 0
    verdict: str = "inconclusive"
    scale: float = 0.0
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
        return sum(p.draws for p in self.probes)

    @property
    def guilty(self) -> list[Probe]:
        """Return the directions along which the bias is above zero, by a step that can be trusted."""
        return [p for p in self.probes if p.bias.lower > 0 and p.trusted]

    # --- norms -------------------------------------------------------------------------------------------

    @property
    def reference(self) -> float:
        """Return the norm of the reference gradient, its noise subtracted."""
        return self._norm([(p.slope_mean, p.slope_error) for p in self.probes])

    @property
    def estimate(self) -> float:
        """Return the norm of the bias, its noise subtracted."""
        return self._norm([(p.bias_mean, p.bias_error) for p in self.probes])

    def _norm(self, parts: list[tuple[float, float]]) -> float:
        squares = np.array([m * m - (e * e if math.isfinite(e) else m * m) for m, e in parts])
        if self.coordinates:
            return math.sqrt(max(0.0, squares.sum()))
        own, others = squares[0], squares[1:]
        return math.sqrt(max(0.0, own, self.size * others.mean()))

    def bounds(self, miss: float) -> tuple[float, float]:
        """Return a lower bound of |b| (false-alarm level) and an upper one (level `miss`)."""
        lower = [p.bias.lower for p in self.probes]
        if self.coordinates:
            return math.hypot(*lower), math.hypot(*(p.missed.upper for p in self.probes))
        worst = max(p.missed.upper for p in self.probes[1:])
        return max(lower), math.sqrt(self.size) * worst / random_quantile(miss / 2)

    @property
    def unit(self) -> float:
        """Return what the bias is measured against, max(|reference|, scale)."""
        return max(self.reference, self.scale)

    @property
    def factor(self) -> float:
        """Return E G . reference / |reference|^2 along the directions measured; nan where the reference is noise."""
        probes = self.probes if self.coordinates else self.probes[:1]
        if not self.coordinates and self.probes[0].draws == 0:
            return math.nan
        g, r = ([getattr(p, name) for p in probes] for name in ("g_mean", "slope_mean"))
        error = math.hypot(*(p.slope_error if math.isfinite(p.slope_error) else 0.0 for p in probes))
        norm2 = float(np.dot(r, r))
        if norm2 == 0 or math.sqrt(norm2) < 3 * error:
            return math.nan
        return float(np.dot(g, r)) / norm2

    def threshold(self, tolerance: float) -> float:
        """Return the largest tolerated norm of the bias; never below what rounding can make."""
        rounding = [p.rounding() for p in self.probes]
        floor = math.hypot(*rounding) if self.coordinates else math.sqrt(self.size) * max(rounding[1:])
        return max(tolerance * self.unit, 2 * floor)


def random_quantile(level: float) -> float:
    """Return q with (2 Phi(q) - 1)^K = level."""
    return NormalDist().inv_cdf((1 + level ** (1 / DIRECTIONS)) / 2)


def make_block(
    objective: Objective,
    exact: np.ndarray | None,
    index: int,
    mean: np.ndarray,
    noise: Noise,
    precision: float,
) -> Block:
    """Choose the directions and steps of a block; `mean` is a pilot mean of its gradient, `precision` the
    relative truncation that does not matter."""
    runner = objective.runner
    base = runner.base[index]
    d = base.numel()
    coordinates = d <= COORDINATES
    if coordinates:
        flats = list(np.eye(d))
    else:
        drawn = noise.normal((DIRECTIONS + 1, d), dtype=torch.float64).numpy()
        own = drawn[0] if not mean.any() else mean
        flats = [v / np.linalg.norm(v) for v in (own, *drawn[1:])]
    probes: list[Probe] = []
    step: float | None = None
    for k, flat in enumerate(flats):
        v = torch.from_numpy(flat).to(base.dtype).to(base.device).reshape(base.shape)
        probe = Probe(index, v, flat, objective, epsilon=objective.epsilon, own=not coordinates and k == 0)
        if exact is not None:
            probe.objective, probe.exact = None, float(flat @ exact)
        elif coordinates or step is None or k == 1:
            step = settle(objective, index, v, natural_step(base, v), precision)
        probe.h = step or 1.0
        probes.append(probe)
    return Block(runner.names[index], index, probes, coordinates, d)
