"""Logarithms of normal probabilities, finite and differentiable at infinite bounds and far in the tails."""

import math

import torch
from torch import Tensor

from reparam.special import log_ndtr


def log_cdf(x: Tensor) -> Tensor:
    """Return log Phi(x); -inf at -inf and 0 at +inf, both with derivative zero."""
    finite = torch.isfinite(x)
    value = log_ndtr(torch.where(finite, x, 0.0))
    return torch.where(finite, value, torch.where(x > 0, 0.0, -torch.inf))


def log_density(x: Tensor) -> Tensor:
    """Return -x^2 / 2 - log(2 pi) / 2."""
    return -0.5 * x * x - 0.5 * math.log(2 * math.pi)


def log_mass(a: Tensor, b: Tensor) -> Tensor:
    """Return log(Phi(b) - Phi(a)), taken in the tail where both are small."""
    upper = a + b > 0
    low, high = torch.where(upper, -b, a), torch.where(upper, -a, b)
    log_high = log_cdf(high)
    ratio = log_cdf(low) - log_high
    empty = torch.isinf(ratio)
    return log_high + torch.where(empty, 0.0, torch.log(-torch.expm1(torch.where(empty, -1.0, ratio))))


def log_add(x: Tensor, y: Tensor) -> Tensor:
    """Return log(e^x + e^y), differentiable in every mode where one of them is -inf."""
    alone_x, alone_y = torch.isinf(y), torch.isinf(x)
    safe_x, safe_y = torch.where(alone_y, 0.0, x), torch.where(alone_x, 0.0, y)
    both = torch.logaddexp(safe_x, safe_y)
    return torch.where(alone_x, x, torch.where(alone_y, y, both))
