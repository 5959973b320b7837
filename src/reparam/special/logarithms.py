"""Logarithms of quotients with the digits that log x itself, a number of size 20, has rounded away."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LN2_HIGH = 0.693147180369123816490  # log 2 to 32 bits: a product with an exponent is exact
LN2_LOW = 1.90821492927058770002e-10


def log_quotient(x: Tensor, y: Tensor) -> Tensor:
    """Return log(x / y), x, y > 0, with the difference x - y taken first where they are near each other.

    Example:
        >>> log_quotient(torch.tensor(3.0 + 2**-50, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64))
        tensor(2.9606e-16, dtype=torch.float64)
    """
    near = (x > y / 2) & (x < 2 * y)
    apart = torch.where(near, (x - y) / y, 0.0)
    return torch.where(near, torch.log1p(apart), torch.log(torch.where(near, 1.0, x / y)))


def one_less_exp(x: Tensor) -> Tensor:
    """Return 1 - e^x, x <= 0, with the derivative -e^x: torch takes that of expm1 as its result + 1, which cancels.

    Example:
        >>> x = torch.tensor(-40.0, dtype=torch.float64, requires_grad=True)
        >>> torch.autograd.grad(one_less_exp(x), x)[0]
        tensor(-4.2484e-18, dtype=torch.float64)
    """
    power = torch.exp(x)
    return -torch.expm1(x.detach()) - (power - power.detach())


def sigmoid(x: Tensor) -> Tensor:
    """Return 1/(1 + e^-x), whose derivative keeps its digits for x > 0, as torch's s (1 - s) does not."""
    low = x < 0
    e = torch.exp(torch.where(low, x, -x))
    return torch.where(low, e, 1.0) / (1 + e)


def log_parts(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return (h, l) with log x = h + l, h a multiple of log 2 in few bits and |l| < .36: good to 1e-16 absolutely."""
    fraction, exponent = torch.frexp(x.detach())
    low = fraction < math.sqrt(0.5)
    k = (exponent - low.to(exponent.dtype)).to(x.dtype)
    m = x * torch.exp2(-k)
    return k * LN2_HIGH, torch.log1p(m - 1) + k * LN2_LOW


def log_ratio_from_log(y: Tensor, alpha: Tensor) -> Tensor:
    """Return y - log alpha to 1e-16 absolutely where it is small, however large y is."""
    high, low = log_parts(alpha)
    return (y - high) - low
