"""The inverse Gaussian law by its quantile: z = mu e^y with F(z; mu, lambda) = Phi(eps).

With a = 2 p sinh(y/2), b = 2 p cosh(y/2), p = sqrt(lambda/mu) and M(t) = Phi(-t)/phi(t)

    log F = log phi(a) + log(M(-a) + M(b)),   log S = log phi(a) + log(M(a) - M(b))
    dz/dmu = 2 (z/mu) w b M(b),   dz/dlambda = (z/lambda) (2 w (1 - b M(b)) - a/b),   w = e^y/(1 + e^y)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reparam.kernels.reference.implicit import bisect, in_double


def _mills(t: Tensor) -> Tensor:
    return math.sqrt(math.pi / 2) * torch.special.erfcx(t / math.sqrt(2))


def _ends(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return 2 * p * torch.sinh(y / 2), 2 * p * torch.cosh(y / 2)


def _tails(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    a, b = _ends(p, y)
    front = -0.5 * a * a - 0.5 * math.log(2 * math.pi)
    return front + (_mills(-a) + _mills(b)).log(), front + (_mills(a) - _mills(b)).log()


def _draw(mu: Tensor, lam: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    p = (lam / mu).sqrt()
    y = bisect(_tails, eps, -2 * torch.asinh(25 / p), 2 * torch.asinh(25 / p), p)
    a, b = _ends(p, y)
    z, w = mu * y.exp(), torch.sigmoid(y)
    K = 1 - b * _mills(b)
    return z, 2 * (z / mu) * w * (1 - K), (z / lam) * (2 * w * K - a / b)


def inverse_gaussian_draw(
    loc: Tensor, concentration: Tensor, eps: Tensor, moving: bool = False
) -> tuple[Tensor, ...]:
    """Return (z,) with F(z; mu, lambda) = Phi(eps), and where `moving` also dz/dmu and dz/dlambda at fixed eps."""
    return in_double(_draw, loc, concentration, eps)[: 3 if moving else 1]


def inverse_gaussian_quantile(loc: Tensor, concentration: Tensor, eps: Tensor) -> Tensor:
    """Return z with F(z; mu, lambda) = Phi(eps)."""
    return inverse_gaussian_draw(loc, concentration, eps)[0]
