"""Mills' ratio of the normal law and what is missing from its limit, and the exponential integral, without overflow."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EULER = 0.57721566490153286061
SERIES_TERMS, FRACTION_LEVELS, GAP_LEVELS, GAP_START = 24, 80, 16, 6.0


def mills(t: Tensor) -> Tensor:
    """Return M(t) = Phi(-t)/phi(t); it overflows below -37."""
    return math.sqrt(math.pi / 2) * torch.special.erfcx(t / math.sqrt(2))


def mills_gap(t: Tensor) -> Tensor:
    """Return K(t) = 1 - t M(t) = -M'(t), without the cancellation at large t, where K = 1/t^2 - 3/t^4 + ...

    With c = 1/(t + 2/(t + 3/(t + ..))) Laplace's fraction reads M = 1/(t + c), hence K = c/(t + c).
    """
    far = t > GAP_START
    large = torch.where(far, t, GAP_START)
    rest = large
    for k in range(GAP_LEVELS, 1, -1):
        rest = large + k / rest
    c = 1 / rest
    near = torch.where(far, 0.0, t)
    return torch.where(far, c / (large + c), 1 - near * mills(near))


def scaled_expint(x: Tensor) -> Tensor:
    """Return e^x E_1(x), E_1(x) = int_x^inf e^-t/t dt, for x > 0: by series below 1, by continued fraction above.

    Example:
        >>> scaled_expint(torch.tensor([0.5, 1e6], dtype=torch.float64))
        tensor([9.2291e-01, 1.0000e-06], dtype=torch.float64)
    """
    small = x < 1
    low = torch.where(small, x, 0.5)
    term, total = torch.ones_like(low), torch.zeros_like(low)
    for k in range(1, SERIES_TERMS):
        term = -term * low / k
        total = total - term / k
    series = torch.exp(low) * (total - EULER - torch.log(low))
    high = torch.where(small, 1.0, x)
    rest = torch.zeros_like(high)
    for k in range(FRACTION_LEVELS, 0, -1):
        rest = k / (1 + k / (high + rest))
    return torch.where(small, series, 1 / (high + rest))
