"""Log densities of the implicit families on their unbounded coordinates, without cancellation at large parameters."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reparam.special.logarithms import log_ratio_from_log

HALF_LOG_2PI = 0.91893853320467274178
# log Gamma(x) - ((x - 1/2) log x - x + log(2 pi)/2) = sum_k STIRLING[k] x^-(2k+1)
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def stirling_remainder(x: Tensor) -> Tensor:
    """log Gamma(x) - ((x - 1/2) log x - x + log(2 pi)/2) for x > 0."""
    large = torch.where(x >= 15.0, x, 15.0)
    r = 1.0 / large
    q = r * r
    total = torch.zeros_like(q) + STIRLING[-1]
    for c in STIRLING[-2::-1]:
        total = total * q + c
    low = torch.where(x >= 15.0, 1.0, x)
    direct = torch.lgamma(low) - ((low - 0.5) * low.log() - low + HALF_LOG_2PI)
    return torch.where(x >= 15.0, total * r, direct)


def gamma_log_density(y: Tensor, alpha: Tensor, w: Tensor | None = None) -> Tensor:
    """log density of y = log z: alpha (w - e^w) - log Gamma(alpha) + alpha log alpha with w = y - log alpha."""
    large = alpha >= 1.0
    a = torch.where(large, alpha, 1.0)
    w = torch.where(large, log_ratio_from_log(y, a) if w is None else w, 0.0)
    central = a * (w - torch.expm1(w)) + 0.5 * a.log() - HALF_LOG_2PI - stirling_remainder(a)
    small = torch.where(large, 1.0, alpha)
    direct = small * y - torch.exp(torch.where(large, torch.zeros_like(y), y)) - torch.lgamma(small)
    return torch.where(large, central, direct)


def beta_log_density(xi: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """log density of xi = logit x: a log(x/mu) + b log(y/(1 - mu)) + log(ab/(2 pi S))/2 + Stirling remainders."""
    S = a + b
    logx, logy = logsigmoid(xi), logsigmoid(-xi)
    near = torch.minimum(a, b) >= 1.0
    one = torch.ones_like(S)
    p, q, s = torch.where(near, a, one), torch.where(near, b, one), torch.where(near, S, 2.0 * one)
    gap = torch.sigmoid(xi) * q - torch.sigmoid(-xi) * p
    up, down = gap / p, -gap / q
    inside = (up.abs() < 0.9) & (down.abs() < 0.9)
    u, v = torch.where(inside, up, 0.0), torch.where(inside, down, 0.0)
    middle = p * log1p_rest(u) + q * log1p_rest(v)  # p u + q v = 0
    wx, wy = _log1p_or(up, logx + torch.log1p(q / p)), _log1p_or(down, logy + torch.log1p(p / q))
    rest = stirling_remainder(s) - stirling_remainder(p) - stirling_remainder(q)
    shape = torch.where(inside, middle, p * wx + q * wy)
    central = shape + 0.5 * (p * (q / s)).log() - HALF_LOG_2PI + rest
    less = a < b  # minimum and maximum share their slopes at a tie, which spoils second derivatives
    low = torch.where(near, one, torch.where(less, a, b))
    high = torch.where(near, one, torch.where(less, b, a))
    direct = a * logx + b * logy + log_gamma_gap(high, low) - torch.lgamma(low)
    return torch.where(near, central, direct)


def beta_log_density_slope(xi: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """d log f/dxi = a y - b x."""
    return a * torch.sigmoid(-xi) - b * torch.sigmoid(xi)


def log1p_rest(z: Tensor) -> Tensor:
    """log(1 + z) - z, for |z| < 1/4 as -z s + 2 s^3 (1/3 + s^2/5 + ..), s = z/(2 + z)."""
    small = z.abs() < 0.25
    near, far = torch.where(small, z, 0.0), torch.where(small, 0.0, z)
    s = near / (2.0 + near)
    q = s * s
    total = torch.zeros_like(q)
    for n in range(21, 1, -2):
        total = total * q + 1.0 / n
    return torch.where(small, s * (2.0 * q * total - near), torch.log1p(far) - far)


def _log1p_or(u: Tensor, far: Tensor) -> Tensor:
    """log(1 + u), or the same number `far` where 1 + u has lost its digits."""
    near = u > -0.5
    return torch.where(near, torch.log1p(torch.where(near, u, 0.0)), far)


def log_gamma_gap(b: Tensor, a: Tensor) -> Tensor:
    """log Gamma(b + a) - log Gamma(b) for a < 1 (b may be large)."""
    large = b >= 15.0
    B = torch.where(large, b, 15.0)
    rest = stirling_remainder(B + a) - stirling_remainder(B)
    far = (B - 0.5) * torch.log1p(a / B) + a * torch.log(B + a) - a + rest
    low = torch.where(large, 1.0, b)
    return torch.where(large, far, torch.lgamma(low + a) - torch.lgamma(low))


def student_log_density(t: Tensor, nu: Tensor) -> Tensor:
    """log density of Student's t: log Gamma((nu+1)/2) - log Gamma(nu/2) - log(pi nu)/2 - (nu+1)/2 log(1 + t^2/nu)."""
    x = 0.5 * nu
    large = x >= 1.0
    X, low = torch.where(large, x, 1.0), torch.where(large, 1.0, x)
    central = X * torch.log1p(0.5 / X) - 0.5 + stirling_remainder(X + 0.5) - stirling_remainder(X)
    direct = torch.lgamma(low + 0.5) - torch.lgamma(low) - 0.5 * low.log()
    far = t.abs() > 1e100
    inner = torch.log1p(torch.where(far, 0.0, t) ** 2 / nu)
    outer = 2.0 * torch.where(far, t, 1.0).abs().log() - nu.log()
    spread = torch.where(far, outer, inner)
    return torch.where(large, central, direct) - HALF_LOG_2PI - 0.5 * (nu + 1.0) * spread


def vonmises_log_density(z: Tensor, kappa: Tensor) -> Tensor:
    """log density of von Mises about 0: -2 kappa sin^2(z/2) - log(2 pi I_0(kappa) e^-kappa)."""
    return -2.0 * kappa * torch.sin(0.5 * z) ** 2 - torch.special.i0e(kappa).log() - 2.0 * HALF_LOG_2PI
