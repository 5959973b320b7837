"""von Mises on (-pi, pi), f(z) = e^(kappa cos z)/(2 pi I_0(kappa)), by Gauss-Legendre in rho = sin(t/2).

kappa (cos t - cos z) = 2 kappa (s^2 - rho^2), cos t = 1 - 2 rho^2, dt = 2 drho/sqrt(1 - rho^2); near t = pi in
rho = cos(t/2). With C the integral of e^(kappa (cos t - cos z)) over (0, z) and G over (z, pi): F - 1/2 = f C,
1 - F = f G, and the velocity is minus the integral of (cos t - A) e^(...) over (0, z), A = I_1/I_0. For kappa >= 30
and small T = tan(z/2), v = T sum_{k>=1} kappa^-k p_k(T^2).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.reference.implicit import bisect, double_series, in_double, log_complement, with_slopes
from reparam.kernels.tables import table

NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)


def _bessel(kappa: Tensor) -> tuple[Tensor, Tensor]:
    """A = I_1/I_0 and -log(2 pi I_0 e^-kappa)."""
    i0, i1 = torch.special.i0e(kappa), torch.special.i1e(kappa)
    return i1 / i0, -i0.log() - math.log(2.0 * math.pi)


def _integrals(kappa: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether z >= 0 is in the tail; C or G; the integral of cos t - A over the same range."""
    A = _bessel(kappa)[0]
    zero, reach = torch.arccos(A), 19.0 / kappa
    tail = z > torch.where(kappa >= 30.0, 1.3 * zero, zero + 0.5)
    s, c = torch.sin(0.5 * z), torch.cos(0.5 * z)
    sine = ~tail | (s * s + reach < 0.6)
    low = torch.where(tail, torch.where(sine, s, (c * c - reach).clamp(min=0.0).sqrt()), 0.0)
    high = torch.where(tail, torch.where(sine, (s * s + reach).sqrt(), c), s)
    edge, sign = torch.where(sine, s * s, c * c), torch.where(sine, 1.0, -1.0)
    total, moment = torch.zeros_like(z), torch.zeros_like(z)
    for x, w in zip(NODES.tolist(), WEIGHTS.tolist()):
        rho2 = (low + (high - low) * 0.5 * (1.0 + x)) ** 2
        e = w * (high - low) * torch.exp(2.0 * kappa * sign * (edge - rho2)) / torch.sqrt(1.0 - rho2)
        total = total + e
        moment = moment + (sign * (1.0 - 2.0 * rho2) - A) * e
    return tail, total, moment


def _velocity(kappa: Tensor, z: Tensor) -> tuple[Tensor]:
    tail, _, moment = _integrals(kappa, z.abs().clamp(max=math.pi))
    T, r = torch.tan(0.5 * z), 1.0 / kappa
    small = (T * T).clamp(max=0.36)
    central = T * r * double_series(table("vonmises_velocity_64"), small, r)
    general = torch.sign(z) * torch.where(tail, moment, -moment)
    return (torch.where((kappa >= 30.0) & (T * T < 0.36), central, general),)


def _half_line(kappa: Tensor, s: Tensor) -> tuple[Tensor]:
    """v/sin z at s = log tan(z/2), a coordinate without edges."""
    z = 2.0 * torch.atan(s.exp())
    return (_velocity(kappa, z)[0] / torch.sin(z),)


def _slopes(kappa: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    size = z.abs().clamp(1e-100, np.nextafter(math.pi, 0.0))
    h, h_s, h_kappa = with_slopes(_half_line, kappa, torch.tan(0.5 * size).log(), step=0.03)
    sine = torch.sin(size) * torch.sign(z)
    return h * sine, h_s + h * torch.cos(size), h_kappa * sine


def vonmises_velocity(kappa: Tensor, z: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return v = dz/dkappa at fixed noise, z in (-pi, pi); order 2 adds dv/dz and dv/dkappa."""
    return in_double(_velocity if order == 1 else _slopes, kappa, z)


def _tails(kappa: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    size = z.abs().clamp(max=math.pi)
    tail, total, _ = _integrals(kappa, size)
    mass = total * torch.exp(_bessel(kappa)[1] - 2.0 * kappa * torch.sin(0.5 * size) ** 2)
    near = torch.where(tail, mass, 0.5 - mass).log()
    far = log_complement(near.clamp(max=-1e-300))
    return torch.where(z < 0, near, far), torch.where(z < 0, far, near)


def vonmises_tails(kappa: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """Return log F(z; kappa) and log(1 - F(z; kappa)), z in (-pi, pi)."""
    return in_double(_tails, kappa, z)


def _quantile(kappa: Tensor, eps: Tensor) -> tuple[Tensor]:
    edge = torch.full_like(kappa, math.pi)
    zero = torch.zeros_like(kappa)
    return (bisect(_tails, eps, torch.where(eps < 0, -edge, zero), torch.where(eps < 0, zero, edge), kappa),)


def vonmises_quantile(kappa: Tensor, eps: Tensor) -> Tensor:
    """Return z in (-pi, pi) with F(z; kappa) = Phi(eps)."""
    return in_double(_quantile, kappa, eps)[0]
