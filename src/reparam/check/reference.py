"""The gradient that is meant, along a direction v: central differences of the value, at common random numbers.

    D_j = [l(phi + j h v) - l(phi - j h v)] / (2 j h),   j = 1, 2, 3,  the same draw in all six
    R6 = (15 D_1 - 6 D_2 + D_3) / 10,    R4 = (4 D_1 - D_2) / 3,    T = R6 - R4

E R6 differs from d/dh E l by O(h^6), and by less than |E T| / 3 once h is small against the scale of E l. Where l is
smooth at fixed noise each draw says how small that is (`settle`); where it jumps, only means do (`Probe.adapt`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reparam.check.draws import Loss, Runner

PILOT, FEW = 8, 3  # draws that choose the step, of small and of large models
TIGHT = 0.05  # largest |T / D_1| of the median draw for the differences to count as smooth
RUNGS = 60  # halvings before giving up
REFINE = 4  # halvings of a smooth step for the sake of precision
Direction = Mapping[int, Tensor]  # what is added to which block
ROUNDING = 4.0  # rounding error of one value, in units of eps |l|


class Difference(NamedTuple):
    """The stencil at one draw: derivative R6, its truncation T, the smallest difference D_1 and D_1 - D_3."""

    slope: float
    truncation: float
    first: float
    spread: float

    def scaled(self, factor: float) -> "Difference":
        """Return the stencil of a multiple of the value."""
        return Difference(*(factor * x for x in self))


@dataclass
class Objective:
    """What is differenced: the loss or a reference objective, as a function of draw, block, direction and step."""

    runner: Runner
    loss: Loss
    size: float = 0.0  # largest |l| seen
    epsilon: float = 0.0  # rounding unit of the values that are differenced
    grain: float = 0.0  # rounding unit of the gradient
    pilot: int = PILOT
    still: bool = False  # the value does not vary, so neither does its rounding error

    def slopes(self, k: int, direction: Direction, h: float, count: int) -> list[float]:
        """Return D_1 .. D_count of draw k; nan from where a point is outside the domain."""
        D: list[float] = []
        for j in range(1, count + 1):
            plus = self.runner.displaced(self.loss, k, direction, j * h)
            minus = self.runner.displaced(self.loss, k, direction, -j * h)
            D.append((plus - minus) / (2 * j * h))
            if not np.isfinite(D[-1]):
                return [float("nan")] * count
        return D

    def difference(self, k: int, direction: Direction, h: float) -> Difference:
        """Return the stencil of draw k; nan where one of the six points is outside the domain."""
        D = self.slopes(k, direction, h, 3)
        R6 = (15 * D[0] - 6 * D[1] + D[2]) / 10
        R4 = (4 * D[0] - D[1]) / 3
        return Difference(R6, R6 - R4, D[0], D[0] - D[2])

    def short_difference(self, k: int, direction: Direction, h: float) -> Difference:
        """Return the same of four points, with R4 for R6 and T = R4 - D_1."""
        D = self.slopes(k, direction, h, 2)
        R4 = (4 * D[0] - D[1]) / 3
        return Difference(R4, R4 - D[0], D[0], D[0] - D[1])

    def rounding(self, h: float, draws: int = 1) -> float:
        """Return the error that rounding of values makes in a mean of R6: 4 eps |l| / h, a tenth of it systematic."""
        share = 1.0 if self.still else max(0.1, draws**-0.5)
        return ROUNDING * self.epsilon * self.size / h * share + 1e-300


def natural_step(base: Tensor, v: Tensor) -> float:
    """Return the first step tried: an eighth of the parameters' root mean square (1 for zeros) per coordinate of v."""
    rms = float(base.double().square().mean().sqrt()) or 1.0
    return rms / (8 * float(v.abs().double().max()))


def settle(objective: Objective, direction: Direction, start: float, precision: float) -> float:
    """Return the largest step, by factors of 2 from `start`, at which the differences of single draws are smooth.

    A draw is smooth when |T| is small against |D_1| and the slope is the same at shorter steps. Where no step is
    (discrete draws: the value is flat between jumps) the first step inside the domain is returned, and means decide
    later. A smooth step is halved up to `REFINE` times more until |T| is below `precision` times the slope.
    """
    inside: float | None = None
    quiet = True  # nothing but rounding so far
    h = start
    for _ in range(RUNGS):
        rows = _rows(objective, direction, h)
        if all(np.isfinite(row.slope) for row in rows):
            inside = h if inside is None else inside
            floor = objective.rounding(h)
            slope, error = _typical(rows)
            if slope > floor and error <= TIGHT * slope and _confirmed(objective, direction, h, rows):
                return _refine(objective, direction, h, precision)
            quiet = quiet and max(abs(row.first) for row in rows) <= floor
            if not quiet and slope <= floor:  # flat between jumps, or beyond what rounding lets one see
                break
            if quiet and h < start / 16:
                break
        h /= 2
    if inside is None:
        moved = ", ".join(objective.runner.names[i] for i in direction)
        raise ValueError(
            f"{objective.runner.who}: the objective must be defined around the parameters; it raises or is not finite "
            f"however little {moved} moves; move the parameters off the edge of their domain"
        )
    return inside


def _confirmed(objective: Objective, direction: Direction, h: float, rows: list[Difference]) -> bool:
    """Say whether shorter steps see the same slopes: a long one may alias an oscillating loss."""
    for shorter in (0.618 * h, h / 613):
        others = _rows(objective, direction, shorter)
        apart = float(np.median([abs(a.slope - b.slope) for a, b in zip(rows, others)]))
        if not apart <= 2 * TIGHT * _typical(others)[0] + objective.rounding(shorter):
            return False
    return True


def _refine(objective: Objective, direction: Direction, h: float, precision: float) -> float:
    """Return a shorter step where truncation is too large, a longer one where rounding is."""
    slope, error = _typical(_rows(objective, direction, h))
    if slope < 1e3 * objective.rounding(h):
        for _ in range(RUNGS):
            slope, error = _typical(_rows(objective, direction, 2 * h))
            if not (error <= precision * slope and slope < 1e3 * objective.rounding(2 * h)):
                return h
            h *= 2
    for _ in range(REFINE):
        if error <= precision * slope + objective.rounding(h):
            return h
        h /= 2
        slope, error = _typical(_rows(objective, direction, h))
    return h


def _rows(objective: Objective, direction: Direction, h: float) -> list[Difference]:
    return [objective.difference(k, direction, h) for k in range(objective.pilot)]


def _typical(rows: list[Difference]) -> tuple[float, float]:
    """Return the medians of |D_1| and |T|."""
    return float(np.median([abs(r.first) for r in rows])), float(np.median([abs(r.truncation) for r in rows]))


def unit_roundoff(runner: Runner, value: Tensor) -> float:
    """Return the coarsest rounding unit of the value and the parameters."""
    return max(torch.finfo(t.dtype).eps for t in (value, *runner.tensors))


def exact_gradient(runner: Runner, reference: object) -> list[np.ndarray] | None:
    """Return the gradient that the caller gave, one flat array per block, or None if it is no gradient."""
    if callable(reference):
        return None
    tensors = runner.tensors
    if isinstance(reference, Tensor):
        given: list[Tensor] = [reference]
    elif isinstance(reference, dict):
        if set(reference) != set(runner.names):
            raise ValueError(
                f"{runner.who}: reference must have the names of params, {', '.join(runner.names)}; "
                f"got {', '.join(map(str, reference))}"
            )
        given = [reference[name] for name in runner.names]
    elif isinstance(reference, list | tuple):
        given = list(reference)
    else:
        raise TypeError(
            f"{runner.who}: reference must be an objective (callable) or the exact gradient in the form of params; "
            f"got {type(reference).__name__}"
        )
    given = [torch.as_tensor(g) for g in given]
    if [g.shape for g in given] != [p.shape for p in tensors]:
        raise ValueError(
            f"{runner.who}: reference must have the shapes of params, {[tuple(p.shape) for p in tensors]}; "
            f"got {[tuple(g.shape) for g in given]}"
        )
    return [g.detach().double().reshape(-1).cpu().numpy() for g in given]
