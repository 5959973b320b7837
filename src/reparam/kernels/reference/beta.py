"""Beta on the logit scale, xi = log(x/(1-x)), reflected so that x <= 1/2 (see `kernels.cpu.beta`).

S  below the mean and a little beyond: I_x = f R/a, R = sum_n (a+b)_n/(a+1)_n x^n
M  a < .1, x(a+b) in (.1, 2.2): I_x = x^a (1 + a T)/(a B(a, b)), T = sum_n (1-b)_n x^n/((a+n) n!)
C  else: 1 - I_x = f K, a continued fraction
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from reparam.kernels.reference.dual import Dual, where
from reparam.kernels.reference.implicit import (
    bisect,
    digamma_gap,
    in_double,
    log_complement,
    log_gamma_gap,
    polynomial,
    stirling,
)
from reparam.kernels.tables import table

HALF_LOG_2PI = 0.91893853320467274178
Number = Any  # Tensor, or Dual for the slopes


def _reflect(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, ...]:
    """a, b, x, y, log x, log y after x <-> y where x > 1/2."""
    flip = xi > 0.0
    A, B = torch.where(flip, b, a), torch.where(flip, a, b)
    e = torch.exp(-xi.abs())
    log_y = -torch.log1p(e)
    return A, B, e / (1.0 + e), 1.0 / (1.0 + e), log_y - xi.abs(), log_y


def _regimes(A: Tensor, B: Tensor, X: Tensor) -> tuple[Tensor, Tensor, int, int]:
    """Where S and M hold, and how many terms S and C need."""
    xs = X * (A + B)
    small = (A < 0.1) & (xs > 0.1) & (xs < 2.2)
    end = torch.where(A >= 0.1, 2.2 + 1.2 * A, 2.2)
    lower = (xs < torch.minimum(end, A + 2.5 * A.sqrt() + 2.2)) & ~small
    slope, excess = 1.0 - X, (xs - A).clamp(min=0.0)
    terms = (27.0 + torch.sqrt(730.0 + 82.0 * slope * A)) / slope + 2.0 * excess
    far = 12.0 + 4.0 * excess + A + 41.0 / (-X.clamp(min=1e-12).log()).clamp(min=0.05)
    most = torch.where(lower, torch.minimum(terms, far), 16.0).max() if A.numel() else torch.tensor(16.0)
    largest = A.max() if A.numel() else torch.tensor(1.0)
    return lower, small, int(most) + 1, max(36, int(5.0 * largest.sqrt()))


def _series(A: Number, B: Number, X: Number, terms: int) -> tuple[Number, Number, Number]:
    """R, dR/da, dR/db from the last term on: R_k = 1 + X (S + k)/(a + k + 1) R_{k+1}."""
    R, Ra, Rb = 1.0, 0.0, 0.0
    for k in range(terms, 0, -1):
        q = 1.0 / (A + k)
        p = X * (A + B + (k - 1.0)) * q
        Ra, Rb = (X * q - p * q) * R + p * Ra, X * q * R + p * Rb
        R = 1.0 + p * R
    return R, Ra, Rb


def _small(A: Number, B: Number, X: Number) -> tuple[Number, Number, Number]:
    """The sum T of M, dT/da, dT/db."""
    p, dp, M, Ma, Mb = 1.0, 0.0, 0.0, 0.0, 0.0
    for n in range(1, 56):
        dp = (dp * (n - B) - p) * X / n
        p = p * (n - B) * X / n
        q = 1.0 / (A + n)
        M, Ma, Mb = M + p * q, Ma - p * q * q, Mb + dp * q
    return M, Ma, Mb


def _fraction(A: Number, B: Number, X: Number, Y: Number, levels: int) -> tuple[Number, Number, Number]:
    """K of I_X(A, B) = f K, dK/dA, dK/dB (DiDonato and Morris): K = 1/(beta_1 + alpha_2/(beta_2 + ...))."""
    t, ta, tb = 0.0, 0.0, 0.0
    S = A + B
    for n in range(levels, -1, -1):
        q1 = 1.0 / (A + 2.0 * n + 1.0)
        q0 = 1.0 / (A + 2.0 * n - 1.0) if n > 0 else 0.0
        g, dg = (A + n) * q1, (n + 1.0) * q1 * q1
        h = A * Y - B * X + 1.0 + n * (1.0 + Y)
        k = n * X * q0
        r = 1.0 / (n + k * (B - n) + g * h + t)
        da, db = -k * q0 * (B - n) + dg * h + g * Y + ta, k - g * X + tb
        u, v = (A + (n - 1.0)) * (S + (n - 1.0)), k * X * q0
        num = u * (B - n) * v if n > 0 else 1.0
        num_a = (S + A + 2.0 * (n - 1.0) - 2.0 * u * q0) * (B - n) * v
        num_b = ((A + (n - 1.0)) * (B - n) + u) * v
        t = num * r
        ta, tb = (num_a - t * da) * r, (num_b - t * db) * r
    return t, ta, tb


def _reflected_velocity(numbers: Sequence[Number], regimes: tuple) -> tuple[Number, Number]:
    A, B, X, Y, log_x, log_y = numbers
    lower, small, terms, levels = regimes
    gap_a, gap_b = digamma_gap(A, B), digamma_gap(B, A)  # psi(S) - psi(A), psi(S) - psi(B)
    R, Ra, Rb = _series(A, B, X, terms)
    below = -(R * (log_x + gap_a - 1.0 / A) + Ra) / A, -(R * (log_y + gap_b) + Rb) / A
    K, Kb, Ka = _fraction(B, A, Y, X, levels)
    above = K * (log_x + gap_a) + Ka, K * (log_y + gap_b) + Kb
    M, Ma, Mb = _small(A, B, X)
    F, scale = 1.0 + A * M, -(-B * log_y).exp() / A
    edge = scale * (F * (log_x + gap_a - 1.0 / A) + M + A * Ma), scale * (F * gap_b + A * Mb)
    ga, gb = (where(small, m, where(lower, s, c)) for m, s, c in zip(edge, below, above))
    return ga, gb


def _velocity(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
    flip, reflected = xi > 0.0, _reflect(a, b, xi)
    ga, gb = _reflected_velocity(reflected, _regimes(*reflected[:3]))
    return torch.where(flip, -gb, ga), torch.where(flip, -ga, gb)


def _slopes(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, ...]:
    """Both velocities, then the slopes in xi, a, b of each: dual numbers along the reflected xi, a, b."""
    flip, reflected = xi > 0.0, _reflect(a, b, xi)
    A, B, X, Y, *_ = reflected
    none, one = torch.zeros_like(X), torch.ones_like(X)
    along = X * Y, -X * Y, Y, -X
    slopes = [[none, one, none], [none, none, one], *([s, none, none] for s in along)]
    duals = [Dual(value, s) for value, s in zip(reflected, slopes)]
    ga, gb = _reflected_velocity(duals, _regimes(A, B, X))
    (gas, gaa, gab), (gbs, gba, gbb) = ga.slopes, gb.slopes
    straight = (ga.value, gb.value, gas, gaa, gab, gbs, gba, gbb)
    turned = (-gb.value, -ga.value, gbs, -gbb, -gba, gas, -gab, -gaa)
    return tuple(torch.where(flip, t, s) for s, t in zip(straight, turned))


def beta_velocity(a: Tensor, b: Tensor, xi: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return dxi/da and dxi/db of xi = logit x at fixed noise; order 2 adds the slopes of both in xi, a, b."""
    return in_double(_velocity if order == 1 else _slopes, a, b, xi)


def _log_density(
    A: Tensor, B: Tensor, X: Tensor, Y: Tensor, log_x: Tensor, log_y: Tensor
) -> tuple[Tensor, Tensor]:
    """log f, and log(s B(s, l)) of the smaller and the larger parameter."""
    s, l = torch.minimum(A, B), torch.maximum(A, B)
    low = s.clamp(max=1.0)
    log_gamma = low * polynomial(table("log_gamma_1p").tolist(), low) - torch.log1p(low)
    log_gamma = torch.where(s < 1.0, log_gamma, torch.lgamma(s + 1.0))
    lone = log_gamma - log_gamma_gap(l, s)
    gap = X * B - Y * A
    large = s >= 15.0
    S = torch.where(large, A + B, 30.0)
    p, q = torch.where(large, A, 15.0), torch.where(large, B, 15.0)
    rest = stirling(S) - stirling(p) - stirling(q)
    up, down = torch.where(large, gap / A, 0.0), torch.where(large, -gap / B, 0.0)
    central = p * torch.log1p(up) + q * torch.log1p(down) + 0.5 * (p * (q / S)).log() - HALF_LOG_2PI + rest
    return torch.where(large, central, A * log_x + B * log_y - lone + s.log()), lone


def _near(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The logarithm of the nearer tail, its hazard, and whether it is the upper one."""
    A, B, X, Y, log_x, log_y = _reflect(a, b, xi)
    lower, small, terms, levels = _regimes(A, B, X)
    log_f, lone = _log_density(A, B, X, Y, log_x, log_y)
    T = _small(A, B, X)[0]
    ratio = torch.where(lower, _series(A, B, X, terms)[0] / A, _fraction(B, A, Y, X, levels)[0])
    ratio = torch.where(small, (1.0 + A * T) * torch.exp(-B * log_y) / A, ratio)
    other = lone + (A / torch.minimum(A, B)).log()  # log(a B(a, b))
    near = torch.where(small, A * log_x - other + torch.log1p(A * T), log_f + ratio.log()).clamp(max=-1e-300)
    return near, 1.0 / ratio, (lower | small) == (xi > 0.0)


def _tails(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
    near, _, upper = _near(a, b, xi)
    far = log_complement(near)
    return torch.where(upper, far, near), torch.where(upper, near, far)


def _hazards(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
    near, hazard, upper = _near(a, b, xi)
    far = hazard * torch.exp(near - log_complement(near))
    return torch.where(upper, far, hazard), torch.where(upper, hazard, far)


def beta_tails(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, ...]:
    """Return log I_x(a, b) and log(1 - I_x(a, b)) at x = sigmoid(xi)."""
    return in_double(_tails, a, b, xi)


def beta_hazards(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, ...]:
    """Return f/F and f/(1 - F) of xi = logit x."""
    return in_double(_hazards, a, b, xi)


def _quantile(a: Tensor, b: Tensor, eps: Tensor) -> tuple[Tensor]:
    return (bisect(_tails, eps, -70.0 / a - 40.0, 70.0 / b + 40.0, a, b),)


def beta_quantile(a: Tensor, b: Tensor, eps: Tensor) -> Tensor:
    """Return xi = logit x with I_x(a, b) = Phi(eps)."""
    return in_double(_quantile, a, b, eps)[0]


def _ratio(m: Tensor, n: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, b = m / 2, n / 2
    xi = _quantile(a, b, eps)[0]
    of_a, of_b = _velocity(a, b, xi)
    z = torch.exp(xi + b.log() - a.log())
    return z, z * (of_a / 2 - 1 / m), z * (of_b / 2 + 1 / n)


def _draw(a: Tensor, b: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    xi = _quantile(a, b, eps)[0]
    of_a, of_b = _velocity(a, b, xi)
    slope = torch.sigmoid(xi) * torch.sigmoid(-xi)
    return torch.sigmoid(xi), slope * of_a, slope * of_b


def beta_draw(a: Tensor, b: Tensor, eps: Tensor, moving: bool = False) -> tuple[Tensor, ...]:
    """Return (x,) with I_x(a, b) = Phi(eps), and where `moving` also dx/da and dx/db at fixed eps."""
    return in_double(_draw, a, b, eps)[: 3 if moving else 1]


def ratio_draw(m: Tensor, n: Tensor, eps: Tensor, moving: bool = False) -> tuple[Tensor, ...]:
    """Return (z,), z = (n/m) x/(1 - x) with I_x(m/2, n/2) = Phi(eps); where `moving` also dz/dm and dz/dn."""
    return in_double(_ratio, m, n, eps)[: 3 if moving else 1]
