"""Functions at the ends of their domains: polynomials that have the limits as their first and second derivatives."""

from __future__ import annotations

import torch
from torch import Tensor

ROOT_OF_INF = 1e200  # its square overflows


def instead(inside: Tensor, *pairs: tuple[Tensor, float]) -> list[Tensor]:
    """Return arguments with harmless ones elsewhere."""
    return [torch.where(inside, x, other) for x, other in pairs]


def by_size(
    x: Tensor, middle: float, below: Tensor | float, equal: Tensor | float, above: Tensor | float
) -> Tensor:
    """Return what belongs to x < middle, x = middle, x > middle."""
    zero = torch.zeros_like(x)
    return torch.where(x < middle, zero + below, torch.where(x == middle, zero + equal, zero + above))


def germ(
    value: Tensor, arguments: list[Tensor], slopes: dict[int, Tensor], bends: dict[tuple[int, int], Tensor]
) -> Tensor:
    """Return the quadratic polynomial about finite `arguments` with this value and these derivatives, others being 0.

    An infinite coefficient is a product that overflows in the derivative only, where it is not multiplied by 0.
    """
    moves = [x - x.detach() for x in arguments]
    for j, c in slopes.items():
        p, q = _factors(c)
        value = value + (moves[j] * p) * q
    for (j, k), c in bends.items():
        p, q = _factors(c if j != k else c / 2)
        value = value + (moves[j] * p) * (moves[k] * q)
    return value


def _factors(c: Tensor) -> tuple[Tensor, Tensor]:
    finite, one = c.abs() < torch.inf, torch.ones_like(c)
    return torch.where(finite, c, c.sign() * ROOT_OF_INF), torch.where(finite, one, ROOT_OF_INF)
