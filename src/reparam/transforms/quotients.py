"""Quotients with a removable zero, smooth through it to every order: (e^y - 1) / y and log(1 + t) / t.

Near zero the power series is summed, so that derivatives of any order are as accurate as the value.
"""

import math

import torch
from torch import Tensor

# half-widths of the series regions and numbers of terms, by float64 and float32
EXPREL_RADIUS, EXPREL_TERMS = 1.0, {torch.float64: 20, torch.float32: 11}
LOGREL_RADIUS, LOGREL_TERMS = 0.25, {torch.float64: 28, torch.float32: 13}


def exprel(y: Tensor) -> Tensor:
    """Return (e^y - 1) / y = sum_k y^k / (k + 1)!, which is 1 at 0."""
    near = y.abs() < EXPREL_RADIUS
    terms = EXPREL_TERMS.get(y.dtype, 11)
    series = horner(torch.where(near, y, 0.0), [1 / math.factorial(k + 1) for k in range(terms)])
    far = torch.where(near, 1.0, y)
    return torch.where(near, series, torch.expm1(far) / far)


def exprel_slope(y: Tensor) -> Tensor:
    """Return d/dy (e^y - 1)/y = sum_k y^k / (k! (k + 2)) = (e^y - exprel(y)) / y, which is 1/2 at 0; for y <= 0."""
    near = y.abs() < EXPREL_RADIUS
    terms = EXPREL_TERMS.get(y.dtype, 11)
    series = horner(torch.where(near, y, 0.0), [1 / (math.factorial(k) * (k + 2)) for k in range(terms)])
    far = torch.where(near, -1.0, y)
    return torch.where(near, series, (torch.exp(far) - torch.expm1(far) / far) / far)


def logrel(t: Tensor) -> Tensor:
    """Return log(1 + t) / t = sum_k (-t)^k / (k + 1), which is 1 at 0."""
    near = t.abs() < LOGREL_RADIUS
    terms = LOGREL_TERMS.get(t.dtype, 13)
    series = horner(torch.where(near, -t, 0.0), [1 / (k + 1) for k in range(terms)])
    far = torch.where(near, 1.0, t)
    return torch.where(near, series, torch.log1p(far) / far)


def horner(x: Tensor, coefficients: list[float]) -> Tensor:
    """Return sum_k c_k x^k."""
    total = torch.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total
