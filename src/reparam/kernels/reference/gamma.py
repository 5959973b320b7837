"""Standard Gamma on the log scale, y = log z (see `kernels.cpu.gamma` for the formulas of the regimes).

U  alpha >= 12, |log(z/alpha)| < 1: uniform expansion in 1/alpha
S  z < 3.5 + 1.5 alpha: P = f R/alpha, R = sum_n z^n/((alpha+1)...(alpha+n))
C  else: Q = f G, a continued fraction
"""

from __future__ import annotations

import torch
from torch import Tensor

from reparam.kernels.reference.implicit import (
    bisect,
    double_series,
    in_double,
    log_complement,
    polynomial,
)
from reparam.kernels.tables import slope_tables, table

LEVELS = 24


def _regimes(alpha: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    w, z = y - alpha.log(), y.clamp(max=690.0).exp()
    return w, z, (alpha >= 12.0) & (w.abs() < 1.0), z < 3.5 + 1.5 * alpha


def _series(alpha: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """R and its derivatives R_a, R_aa, z R_z, z R_az: term_n = term_{n-1} z/(alpha + n)."""
    term, slope, bend = torch.ones_like(z), torch.zeros_like(z), torch.zeros_like(z)
    sums = [term, slope, bend, torch.zeros_like(z), torch.zeros_like(z)]
    for n in range(1, 90):
        r = 1.0 / (alpha + n)
        slope, bend = slope - term * r, bend - 2.0 * r * (slope - term * r)
        term, slope, bend = (z * r * t for t in (term, slope, bend))
        sums = [s + t for s, t in zip(sums, (term, slope, bend, n * term, n * slope))]
    return tuple(sums)


def _fraction(alpha: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """G = 1/(z + 1 - alpha - 1(1 - alpha)/(z + 3 - alpha - ...)) and G_a, G_aa, G_z, G_az."""
    t, ta, taa, tz, taz = (torch.zeros_like(z) for _ in range(5))
    for j in range(LEVELS, 0, -1):
        r = 1.0 / (z + 2.0 * j + 1.0 - alpha + t)
        qa, qz, qaa, qaz = ta - 1.0, tz + 1.0, taa, taz
        t = j * (alpha - j) * r
        ta, tz = (j - t * qa) * r, -t * qz * r
        taa, taz = -(2.0 * ta * qa + t * qaa) * r, -(ta * qz + tz * qa + t * qaz) * r
    G = 1.0 / (z + 1.0 - alpha + t)
    Ga, Gz = -(ta - 1.0) * G * G, -(tz + 1.0) * G * G
    return (
        G,
        Ga,
        -(2.0 * Ga * (ta - 1.0) + G * taa) * G,
        Gz,
        -(Ga * (tz + 1.0) + Gz * (ta - 1.0) + G * taz) * G,
    )


def _slopes(alpha: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u, u_y and u_alpha, regime by regime; psi' = zeta(2, .), of which torch.polygamma has nine digits only."""
    w, z, uniform, lower = _regimes(alpha, y)
    r = 1.0 / alpha
    u, uy, ua = (double_series(t, w, r) for t in slope_tables("gamma_velocity_64"))
    central = r * u, r * uy, -r * r * ua
    R, Ra, Raa, Rz, Raz = _series(alpha, z)
    L, psi = y - torch.digamma(alpha + 1.0), torch.special.zeta(2.0, alpha + 1.0)
    v = -r * (R * L + Ra)
    below = v, -r * (R + Rz * L + Raz), -r * (v + Ra * L - R * psi + Raa)
    G, Ga, Gaa, Gz, Gaz = _fraction(alpha, z)
    L, psi = y - torch.digamma(alpha), torch.special.zeta(2.0, alpha)
    above = L * G + Ga, G + z * (L * Gz + Gaz), L * Ga - psi * G + Gaa
    u, uy, ua = (torch.where(uniform, c, torch.where(lower, b, a)) for c, b, a in zip(central, below, above))
    return u, uy, ua


def gamma_velocity(alpha: Tensor, y: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return u = dy/dalpha of y = log z at fixed noise; order 2 adds du/dy and du/dalpha."""
    return in_double(_slopes, alpha, y)[: 1 if order == 1 else 3]


def _tails(alpha: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    w, z, uniform, lower = _regimes(alpha, y)
    score = alpha.sqrt() * double_series(table("gamma_score_64"), w, 1.0 / alpha)
    log_p, log_q = torch.special.log_ndtr(score), torch.special.log_ndtr(-score)
    small = alpha.clamp(max=1.0)
    log_gamma = small * polynomial(table("log_gamma_1p").tolist(), small) - torch.log1p(small)
    log_gamma = torch.where(alpha < 1.0, log_gamma, torch.lgamma(alpha + 1.0))
    term, T = torch.ones_like(z), torch.zeros_like(z)
    for n in range(1, 60):
        term = -term * z.clamp(max=6.0) / n
        T = T + term / (alpha + n)
    series = torch.where(alpha < 1.0, torch.log1p(alpha * T), _series(alpha, z)[0].log() - z)
    below = alpha * y - log_gamma + series
    above = alpha * y - z + (alpha * _fraction(alpha, z)[0]).log() - log_gamma
    near = torch.where(lower, below, above).clamp(max=-1e-300)
    far = log_complement(near)
    outside_p, outside_q = torch.where(lower, near, far), torch.where(lower, far, near)
    return torch.where(uniform, log_p, outside_p), torch.where(uniform, log_q, outside_q)


def gamma_tails(alpha: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Return log P(alpha, z) and log Q(alpha, z) at z = e^y."""
    return in_double(_tails, alpha, y)


def _quantile(alpha: Tensor, eps: Tensor) -> tuple[Tensor]:
    low = -60.0 / alpha - 10.0
    return (bisect(_tails, eps, low, (alpha + 60.0 + 10.0 * alpha.sqrt()).log(), alpha),)


def gamma_quantile(alpha: Tensor, eps: Tensor) -> Tensor:
    """Return y = log z with P(alpha, z) = Phi(eps)."""
    return in_double(_quantile, alpha, eps)[0]


def _draw(sign: int, alpha: Tensor, rate: Tensor, eps: Tensor, moving: bool) -> tuple[Tensor, ...]:
    def draw(a: Tensor, r: Tensor, e: Tensor) -> tuple[Tensor, ...]:
        y = _quantile(a, -e if sign < 0 else e)[0]
        l, v = y - r.log(), _slopes(a, y)[0]
        if sign == 0:
            return l, v
        x = torch.exp(sign * l)
        return x, torch.where(x > 0, sign * x * v, 0.0)

    return in_double(draw, alpha, rate, eps)[: 2 if moving else 1]


def gamma_draw(alpha: Tensor, rate: Tensor, eps: Tensor, moving: bool = False) -> tuple[Tensor, ...]:
    """Return (x,), x = e^y/rate with P(alpha, e^y) = Phi(eps), and where `moving` also dx/dalpha at fixed eps."""
    return _draw(1, alpha, rate, eps, moving)


def inverse_gamma_draw(alpha: Tensor, rate: Tensor, eps: Tensor, moving: bool = False) -> tuple[Tensor, ...]:
    """Return (x,), x = rate e^-y with P(alpha, e^y) = Phi(-eps), and where `moving` also dx/dalpha at fixed eps."""
    return _draw(-1, alpha, rate, eps, moving)


def exp_gamma_draw(alpha: Tensor, rate: Tensor, eps: Tensor, moving: bool = False) -> tuple[Tensor, ...]:
    """Return (x,), x = y - log rate with P(alpha, e^y) = Phi(eps), and where `moving` also dx/dalpha at fixed eps."""
    return _draw(0, alpha, rate, eps, moving)
