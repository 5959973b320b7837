"""The normaliser of e^(kappa mu.x) on the sphere, with derivatives of every order in kappa.

    N(kappa, d) = int_{-1}^{1} e^(kappa (t - 1)) (1 - t^2)^((d-3)/2) dt
                = int_0^pi e^(-2 kappa sin(s/2)^2) sin(s)^(d-2) ds

    -d log N/dkappa = E[1 - t] = 1 - A,   A = I_{d/2}(kappa)/I_{d/2-1}(kappa)

by Gauss and Legendre's rule on the part of the interval that counts: nothing cancels for large kappa or d.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

NODES, WEIGHTS = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(96))
FALL = -44.0


def log_sphere_integral(kappa: Tensor, d: Tensor) -> Tensor:
    """Return log N(kappa, d), in float64, for kappa > 0 and integers d >= 2, differentiable in kappa."""
    k, m = kappa.double(), d.detach().double() - 2
    with torch.no_grad():
        start, end, top = _bounds(k.detach(), m)  # no_grad alone leaves the tangents of forward mode
    half = ((end - start) / 2).unsqueeze(-1)
    s = ((end + start) / 2).unsqueeze(-1) + half * NODES.to(k.device)
    height = _log_g(k.unsqueeze(-1), m.unsqueeze(-1), s)
    total = (WEIGHTS.to(k.device) * torch.exp(height - top.unsqueeze(-1))).sum(-1)
    return top + torch.log(total * half.squeeze(-1))


def one_minus_ratio(kappa: Tensor, d: Tensor) -> Tensor:
    """Return 1 - I_{d/2}(kappa)/I_{d/2-1}(kappa) in float64, to its last digits for every kappa > 0."""
    k, m = kappa.double(), d.detach().double() - 2
    with torch.no_grad():
        start, end, top = _bounds(k.detach(), m)  # no_grad alone leaves the tangents of forward mode
    s = ((end + start) / 2).unsqueeze(-1) + ((end - start) / 2).unsqueeze(-1) * NODES.to(k.device)
    weight = WEIGHTS.to(k.device) * torch.exp(_log_g(k.unsqueeze(-1), m.unsqueeze(-1), s) - top.unsqueeze(-1))
    return (2 * torch.sin(s / 2) ** 2 * weight).sum(-1) / weight.sum(-1)


def log_sphere_area(n: int) -> float:
    """Return the log of the area 2 pi^(n/2)/Gamma(n/2) of the unit sphere of R^n."""
    return math.log(2) + n / 2 * math.log(math.pi) - math.lgamma(n / 2)


def sphere_log_density(xi: Tensor, d: Tensor, kappa: Tensor) -> Tensor:
    """log density of xi = atanh t: kappa (t - 1) + (d - 1) log sech xi - log N."""
    log_sech = math.log(2) + (logsigmoid(2 * xi) + logsigmoid(-2 * xi)) / 2
    return -2 * kappa * torch.sigmoid(-2 * xi) + (d - 1) * log_sech - log_sphere_integral(kappa, d)


def _log_g(k: Tensor, m: Tensor, s: Tensor) -> Tensor:
    return -2 * k * torch.sin(s / 2) ** 2 + torch.xlogy(m, torch.sin(s))


def _bounds(k: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two angles between which log g stays within FALL of its largest value, and that value."""
    c = 2 * k / (m + torch.sqrt(m * m + 4 * k * k))
    mode = torch.atan2(torch.sqrt(m * c / k), c)
    top = _log_g(k, m, mode)
    zero, pi = torch.zeros_like(k), torch.full_like(k, math.pi)
    return _edge(k, m, mode, top, zero), _edge(k, m, mode, top, pi), top


def _edge(k: Tensor, m: Tensor, mode: Tensor, top: Tensor, end: Tensor) -> Tensor:
    near, far = mode, end
    for _ in range(26):
        middle = (near + far) / 2
        above = _log_g(k, m, middle) - top > FALL
        near, far = torch.where(above, middle, near), torch.where(above, far, middle)
    return far
