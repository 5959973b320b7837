"""Logarithms of normal probabilities, finite and differentiable at infinite bounds and far in the tails."""

import math

import torch
from torch import Tensor

from reparam.transforms.newton import differentiable_root

LEAST_LOG = -700.0  # below this e^p is no normal double


def log_cdf(x: Tensor) -> Tensor:
    """Return log Phi(x); -inf at -inf and 0 at +inf, both with derivative zero."""
    finite = torch.isfinite(x)
    value = torch.special.log_ndtr(torch.where(finite, x, 0.0))
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


def quantile_of_log(p: Tensor) -> Tensor:
    """Return z with log Phi(z) = p, for p <= log(1/2) or so: accurate in the lower tail, to any depth."""
    with torch.no_grad():
        deep = p < LEAST_LOG
        z = torch.special.ndtri(torch.exp(torch.where(deep, -1.0, p)))
        square = -2 * torch.where(deep, p, -1e3) - math.log(2 * math.pi)
        z = torch.where(deep, -torch.sqrt(square - torch.log(square)), z)
        for _ in range(2):
            z = z - (torch.special.log_ndtr(z) - p) / _mills(z)
    return differentiable_root(z, lambda z: torch.special.log_ndtr(z) - p, _mills)


def _mills(z: Tensor) -> Tensor:
    """Return d/dz log Phi(z) = phi(z) / Phi(z)."""
    return math.sqrt(2 / math.pi) / torch.special.erfcx(-z / math.sqrt(2))
