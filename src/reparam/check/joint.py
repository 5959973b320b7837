"""All parameters at once: random directions, a new one with each draw, that can show every bias to be small.

    u = (xi_1 / theta_1, ..., xi_m / theta_m),   xi_i independent signs, theta_i the tolerated norm of block i
    X = u . G - R4,   T = R4 - D_1,   Y = (|X| + |T| / 3 + rho)^2,   rho the rounding error of R4

E[u u'] is diagonal with 1 / theta_i^2, so E (u . b)^2 = sum |b_i|^2 / theta_i^2 = B^2; and |u . b|, which is |E[X | u]|
up to truncation and rounding, is at most E[sqrt(Y) | u]. Hence B^2 <= E Y, whatever the noise of X: an upper bound of
E Y below 1 shows |b_i| < theta_i for every block, however many parameters there are. Nothing is accused in this way.

The step is the largest at which the pilot draws have a mean of Y below `ENOUGH`: it sees as many jumps as it can.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from reparam.check.reference import Objective
from reparam.check.sequential import Stream, bernstein, spend
from reparam.noise import Noise

PILOT = 24  # draws that choose the step
RUNG = 4  # ratio of two steps
RUNGS = 12
FLAT = (
    3  # steps after which a median of Y that has not halved says that noise or a bias makes it, not the step
)
ENOUGH = 0.05  # largest mean of Y over the pilot draws
SHORTER = (0.618, 1 / 613)  # of the step: where the slopes must be the same, for a long step may alias
REACH = 8.0  # range of Y that the bound allows for in advance: a kink may have it
QUIET = (
    0.01  # where most Y are below this and one is above REACH there are jumps: they grow as the step shrinks
)
ABANDON = 64  # draws after which a mean of Y above 1 ends it


@dataclass
class Joint:
    """The random directions through all parameters and what has been seen along them.

    Attributes:
        noise: where directions come from.
        objective: what is differenced.
        theta: the tolerated norm of the bias per block.
        first: draws before the first look.
        level: the probability of a missed bias, over all looks.
    """

    noise: Noise
    objective: Objective
    theta: list[float]
    first: int
    level: float
    h: float = 0.0
    stream: Stream = field(default_factory=Stream)
    products: list[list[float]] = field(default_factory=list)  # X (u_i . G_i), per draw and block
    upper: float = math.inf  # of B

    def direction(self, k: int) -> dict[int, Tensor]:
        """Return u of draw k, one array per block."""
        origin, at = self.objective.runner.origin, self.noise.at(k)
        return {
            i: at.child(str(i)).rademacher(tuple(p.shape), dtype=torch.float32, device=p.device).to(p.dtype)
            / theta
            for i, (p, theta) in enumerate(zip(origin, self.theta))
        }

    def residual(self, k: int, u: dict[int, Tensor], along: list[float], h: float) -> tuple[float, float]:
        """Return X and sqrt(Y) of draw k; nan outside the domain. `along`: u_i . G_i."""
        D = self.objective.slopes(k, u, h, 2)
        R4 = (4 * D[0] - D[1]) / 3
        X = sum(along) - R4
        return X, abs(X) + abs(R4 - D[0]) / 3 + self.objective.rounding(h)

    def settle(self, gradients: list[list[np.ndarray]]) -> bool:
        """Choose the step by the first draws, whose gradients are given; say whether there is one that will do."""
        pilot = range(min(PILOT, len(gradients)))
        directions = [self.direction(k) for k in pilot]
        alongs = [along(directions[k], gradients[k]) for k in pilot]
        rms = [float(p.double().square().mean().sqrt()) or 1.0 for p in self.objective.runner.base]
        h = min(r * theta for r, theta in zip(rms, self.theta)) / 8

        def roots(h: float) -> np.ndarray:
            return np.array([self.residual(k, directions[k], alongs[k], h)[1] for k in pilot])

        best, medians = math.inf, []
        for _ in range(RUNGS):
            Y = roots(h) ** 2
            medians.append(float(np.median(Y)))
            if len(medians) > FLAT and medians[-1] > 0.5 * medians[-1 - FLAT]:
                return False
            if not Y.mean() >= best and np.isfinite(Y).all():
                best, self.h = float(Y.mean()), h
            if self.objective.rounding(h) ** 2 > ENOUGH or (medians[-1] < QUIET and Y.max() > REACH):
                return False
            if Y.mean() < ENOUGH:
                spare = [np.maximum(0.0, roots(s * h) - 2 * self.objective.rounding(s * h)) for s in SHORTER]
                return all((root**2).mean() < ENOUGH for root in spare)
            h /= RUNG
        return False

    def observe(self, k: int, gradient: list[np.ndarray]) -> bool:
        """Add draw k; say whether to go on."""
        u = self.direction(k)
        parts = along(u, gradient)
        X, root = self.residual(k, u, parts, self.h)
        if not math.isfinite(root):
            return False
        self.products.append([X * part for part in parts])
        self.stream.add(root**2)
        n = len(self.stream.values)
        if n >= self.first and n >= self.stream.next_look:
            self.look()
        return n % ABANDON > 0 or float(np.mean(self.stream.values)) < 1

    def suspicions(self, gradients: list[list[np.ndarray]]) -> list[float]:
        """Return an estimate of |b_i|^2 / theta_i^2 per block, from X along u_i alone."""
        squares = np.zeros((len(gradients), len(self.theta)))
        for k, gradient in enumerate(gradients if self.h > 0 else []):
            u = self.direction(k)
            for i, part in enumerate(along(u, gradient)):
                squares[k, i] = (part - self.objective.slopes(k, {i: u[i]}, self.h, 1)[0]) ** 2
        return [float(x) for x in np.nan_to_num(squares, nan=np.inf).mean(0)]

    def look(self) -> None:
        """Bound B from above."""
        share = spend(self.level, self.stream.take_look(counts=True))
        floor = self.objective.rounding(self.h) ** 2 + 1e-300
        bound = bernstein(np.array(self.stream.values), share, floor, REACH)
        self.upper = math.sqrt(bound.centre + bound.half_width)

    def bias(self) -> float:
        """Return the root mean square of X, B and the noise of X together."""
        return math.sqrt(float(np.mean(self.stream.values)))

    def factor(self, i: int, norm: float) -> float:
        """Return |g|^2 / (g . reference), 1 if right, from E X (u_i . G_i) = b_i . g_i / theta_i^2."""
        if norm == 0:
            return math.nan
        excess = float(np.mean([row[i] for row in self.products])) * self.theta[i] ** 2 / norm**2
        return 1 / (1 - excess) if excess < 1 else math.nan


def along(u: dict[int, Tensor], gradient: list[np.ndarray]) -> list[float]:
    """Return u_i . G_i per block."""
    return [float(v.reshape(-1).to("cpu", torch.float64).numpy() @ gradient[i]) for i, v in u.items()]
