"""All parameters at once: random directions, a new one with each draw, that can show every bias to be small.

    u = (xi_1 / theta_1, ..., xi_m / theta_m),   xi_i independent signs, theta_i the tolerated norm of block i
    X = u . G - R4,   T = R4 - D_1,   Y = |X| + |T| / 3 + rho,   rho the rounding error of R4

|u . b|, which is |E[X | u]| up to truncation and rounding, is at most E[Y | u]; and u . b is a sum of independent signs
times b_i / theta_i, whose mean modulus is at least B / sqrt(2), B^2 = sum |b_i|^2 / theta_i^2 (Khintchine's inequality
with Szarek's constant). Hence B <= sqrt(2) E Y, whatever the noise of X: a bound of that below 1 shows |b_i| < theta_i
for every block, however many parameters there are. Nothing is accused in this way.

The step h is the largest at which few pilot draws have a Y above `EVENT`. Such a draw may have met a kink (a ReLU that
switches), which is no bias: the value is continuous there. Its Y is then what its own derivative, and its jumps, say,

    Y = |u . G - R4 at h / 1024| + (sum of |jumps| on [-2h, 2h]) / 2h + EVENT / 4.

References: szarek1976.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from reparam.check.continuity import jump_variation
from reparam.check.reference import Objective
from reparam.check.sequential import Stream, bernstein, spend
from reparam.noise import Noise

PILOT = 24  # draws that choose the step
RUNG = 4  # ratio of two steps
RUNGS = 12
FLAT = 3  # steps after which a mean of Y that has not halved says that noise, a bias or jumps make it
ENOUGH = 0.1  # largest mean of Y over the pilot draws
EVENT = 0.1  # Y of a draw that is looked at more closely
FEW = 0.25  # largest share of such draws
CLOSER = 1024  # how much
SHORTER = (0.618, 1 / 613)  # of the step: where the slopes must be the same, for a long step may alias
REACH = 3.0  # range of Y that the bound allows for in advance
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
    close: bool = False  # whether single draws are looked at more closely

    def direction(self, k: int) -> dict[int, Tensor]:
        """Return u of draw k, one array per block."""
        origin, at = self.objective.runner.origin, self.noise.at(k)
        return {
            i: at.child(str(i)).rademacher(tuple(p.shape), dtype=torch.float32, device=p.device).to(p.dtype)
            / theta
            for i, (p, theta) in enumerate(zip(origin, self.theta))
        }

    def residual(self, k: int, u: dict[int, Tensor], along: list[float], h: float) -> tuple[float, float]:
        """Return X and Y of draw k; nan outside the domain. `along`: u_i . G_i."""
        D = self.objective.slopes(k, u, h, 2)
        R4 = (4 * D[0] - D[1]) / 3
        X = sum(along) - R4
        return X, abs(X) + abs(R4 - D[0]) / 3 + self.objective.rounding(h)

    def closer(self, k: int, u: dict[int, Tensor], along: list[float]) -> tuple[float, float]:
        """Return X and Y of a draw that may have met a kink."""
        runner, loss, h = self.objective.runner, self.objective.loss, self.h
        X, Y = self.residual(k, u, along, h / CLOSER)
        slack = EVENT / 4 * h + self.objective.rounding(1.0)
        jumps = jump_variation(lambda t: runner.displaced(loss, k, u, t), 2 * h, slack)
        return X, Y + jumps / (2 * h) + EVENT / 4

    def settle(self, gradients: list[list[np.ndarray]]) -> bool:
        """Choose the step by the first draws, whose gradients are given; say whether there is one that will do."""
        pilot = range(min(PILOT, len(gradients)))
        directions = [self.direction(k) for k in pilot]
        alongs = [along(directions[k], gradients[k]) for k in pilot]
        rms = [float(p.double().square().mean().sqrt()) or 1.0 for p in self.objective.runner.base]
        self.h = min(r * theta for r, theta in zip(rms, self.theta)) / 8
        means: list[float] = []
        for _ in range(RUNGS):
            Y = np.array([self.residual(k, directions[k], alongs[k], self.h)[1] for k in pilot])
            means.append(float(Y.mean()))
            rounding = self.objective.rounding
            if rounding(self.h) > ENOUGH or (len(means) > FLAT and means[-1] > 0.5 * means[-1 - FLAT]):
                return False
            events = [k for k in pilot if not Y[k] <= EVENT]
            if len(events) <= FEW * len(pilot):
                self.close = rounding(self.h / CLOSER) < EVENT / 4
                if self.close:
                    Y[events] = [self.closer(k, directions[k], alongs[k])[1] for k in events]
                    if (Y > 1).any():  # a jump, a bias or noise: no step will do
                        return False
            if Y.mean() < ENOUGH:
                return all(
                    np.median([self._spare(k, directions[k], alongs[k], s * self.h) for k in pilot]) < ENOUGH
                    for s in SHORTER
                )
            self.h /= RUNG
        return False

    def _spare(self, k: int, u: dict[int, Tensor], along: list[float], h: float) -> float:
        """Return Y at another step, rounding aside."""
        return max(0.0, self.residual(k, u, along, h)[1] - 2 * self.objective.rounding(h))

    def observe(self, k: int, gradient: list[np.ndarray]) -> bool:
        """Add draw k; say whether to go on."""
        u = self.direction(k)
        parts = along(u, gradient)
        X, Y = self.residual(k, u, parts, self.h)
        if self.close and Y > EVENT:
            X, Y = self.closer(k, u, parts)
        if not math.isfinite(Y):
            return False
        self.products.append([X * part for part in parts])
        self.stream.add(Y)
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
        floor = self.objective.rounding(self.h) + 1e-300
        bound = bernstein(np.array(self.stream.values), share, floor, REACH)
        self.upper = math.sqrt(2) * (bound.centre + bound.half_width)

    def bias(self) -> float:
        """Return the root mean square of Y, B and the noise of X together."""
        return math.sqrt(float(np.mean(np.square(self.stream.values))))

    def factor(self, i: int, norm: float) -> float:
        """Return |g|^2 / (g . reference), 1 if right, from E X (u_i . G_i) = b_i . g_i / theta_i^2."""
        if norm == 0:
            return math.nan
        excess = float(np.mean([row[i] for row in self.products])) * self.theta[i] ** 2 / norm**2
        return 1 / (1 - excess) if excess < 1 else math.nan


def along(u: dict[int, Tensor], gradient: list[np.ndarray]) -> list[float]:
    """Return u_i . G_i per block."""
    return [float(v.reshape(-1).to("cpu", torch.float64).numpy() @ gradient[i]) for i, v in u.items()]
