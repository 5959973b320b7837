"""P(a, x), Q(a, x) and their inverses, regime by regime; every derivative is that of the formula used.

    small    x < .1: P = x^a (1 + a T)/Gamma(a + 1), T = sum_n (-x)^n/(n! (a + n)); the inverse solves
             h = x (1 + a T)^(1/a) = (p Gamma(a + 1))^(1/a), where h_x = e^-x (1 + a T)^(1/a - 1)
    central  a >= 12, |w| < 1, w = log(x/a): P = Phi(N), N = sqrt(a) sum_k a^-k s_k(w), and its inverse
             w = sum_k a^-k W_k(eps/sqrt(a)); log x itself has rounded: sqrt(a) |N| eps |log x| of P
    else     the kernels `tails` and `quantile` at log x

At x = 0 and inf, p = 0 and 1, the functions are polynomials that have the limits as their derivatives.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reparam.kernels.reference.implicit import log_gamma_gap
from reparam.kernels.tables import table
from reparam.special.ends import by_size, germ, instead
from reparam.special.implicit import quantile, tails
from reparam.special.logarithms import log_quotient
from reparam.special.normal import _log_ndtr, _score, refuse
from reparam.special.series import double_series

SMALL, SMALL_TERMS = 0.1, 11
LEAST_CENTRAL = 12.0
CENTRE, HALF_WIDTH = 0.17, 1.03  # of the table's range of eps/sqrt(a)
SCORE, QUANTILE = (torch.tensor(table(f"gamma_{name}_64")) for name in ("score", "quantile"))


def _central(w: Tensor, a: Tensor) -> Tensor:
    return (a >= LEAST_CENTRAL) & (w.abs() < 1)


def gamma_tails(w: Tensor, y: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Return log P(alpha, e^y) and log Q(alpha, e^y), given y and w = y - log alpha, which y may have rounded."""
    w, y, alpha = torch.broadcast_tensors(w, y, alpha)
    central = _central(w, alpha)
    u, a = instead(central, (w, 0.0), (alpha, LEAST_CENTRAL))
    score = a.sqrt() * double_series(SCORE, u, 1 / a)
    lower, upper = tails("gamma", *instead(~central, (y, 0.0), (alpha, 1.0)))
    return torch.where(central, _log_ndtr(score), lower), torch.where(central, _log_ndtr(-score), upper)


def gamma_sides(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return P and Q."""
    a, x = torch.broadcast_tensors(a, x)
    valid = (a > 0) & (a < torch.inf) & (x >= 0)
    end = valid & ((x == 0) | (x == torch.inf))
    small = valid & ~end & (x < SMALL)
    shape, at = instead(valid & ~end & ~small, (a, 1.0), (x, 1.0))
    sides = [side.exp() for side in gamma_tails(log_quotient(at, shape), at.log(), shape)]
    near = _small_sides(*instead(small, (a, 1.0), (x, SMALL / 2)))
    edge = _at_end(end, a, x)
    P, Q = (torch.where(end, e, torch.where(small, n, s)) for e, n, s in zip((edge, 1 - edge), near, sides))
    return refuse(P, valid, a, x), refuse(Q, valid, a, x)


def _alternating(a: Tensor, x: Tensor) -> Tensor:
    """a T = a sum_n (-x)^n/(n! (a + n))."""
    total = torch.zeros_like(x)
    for n in range(SMALL_TERMS, 0, -1):
        total = (total + a / (a + n)) * (-x / n)
    return total


def _log_gamma_1p(a: Tensor) -> Tensor:
    """log Gamma(1 + a), which vanishes with a, and whose second derivative has all digits (not so torch.lgamma's)."""
    return log_gamma_gap(torch.ones_like(a), a)


def _small_sides(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    g, t = _log_gamma_1p(a), _alternating(a, x)
    P = x**a * torch.exp(-g) * (1 + t)
    Q = -torch.expm1(a * x.log() - g + torch.log1p(t))
    return P, Q.detach() - (P - P.detach())


def _at_end(end: Tensor, a: Tensor, x: Tensor) -> Tensor:
    """P at x = 0, P = x^a/Gamma(a + 1) (1 - a x/(a + 1)), and at x = inf, where all derivatives are 0."""
    shape, at = instead(end, (a.detach(), 3.0), (x.detach(), 0.0))
    zero, inf = torch.zeros_like(shape), torch.full_like(shape, torch.inf)
    start = at == 0
    slope = by_size(shape, 1.0, inf, zero + 1, zero)
    mixed = by_size(shape, 1.0, -inf, -inf, zero)
    bend = torch.where(
        shape < 2, by_size(shape, 1.0, -inf, zero - 1, inf), by_size(shape, 2.0, zero, zero + 1, zero)
    )
    slope, mixed, bend = (torch.where(start, c, 0.0) for c in (slope, mixed, bend))
    moving = [torch.where(end, a, 3.0), torch.where(end & (x == 0), x, 0.0)]
    return germ(
        torch.where(start, 0.0, 1.0).to(shape.dtype), moving, {1: slope}, {(0, 1): mixed, (1, 1): bend}
    )


def gamma_quantile(a: Tensor, p: Tensor, upper: bool) -> Tensor:
    """Return x with P(a, x) = p, or Q(a, x) = p."""
    a, p = torch.broadcast_tensors(a, p)
    valid = (a > 0) & (a < torch.inf) & (p >= 0) & (p <= 1)
    end = valid & ((p == 0) | (p == 1))
    shape, inner = instead(valid & ~end, (a, 1.0), (p, 0.5))
    score = -_score(inner) if upper else _score(inner)
    x = _inside(shape, score)
    small = valid & ~end & (x.detach() < SMALL)
    low = _small_quantile(upper, *instead(small, (a, 1.0), (p, 0.05), (x.detach(), SMALL / 2)))
    x = torch.where(end, _quantile_at_end(end, a, p, upper), torch.where(small, low, x))
    return refuse(x, valid, a, p)


def _inside(a: Tensor, score: Tensor) -> Tensor:
    """x at a normal score, which is small against 1/SMALL: central, or by the kernel."""
    position = score * torch.rsqrt(a)
    central = (a >= LEAST_CENTRAL) & ((position - CENTRE).abs() < HALF_WIDTH)
    shape, t = instead(central, (a, LEAST_CENTRAL), ((position - CENTRE) / HALF_WIDTH, 0.0))
    near = shape * torch.exp(double_series(QUANTILE, t, 1 / shape))
    eps, other = instead(~central, (score, 0.0), (a, 1.0))
    return torch.where(central, near, quantile("gamma", eps, other).exp())


def _small_quantile(upper: bool, a: Tensor, p: Tensor, x: Tensor) -> Tensor:
    """Two of Newton's steps from x, which the derivatives pass through: exact to the second order."""
    half = p > 0.5
    if upper:
        power = torch.where(
            half, torch.where(half, 1 - p, 1.0) ** (1 / a), torch.exp(torch.log1p(-p.clamp(max=0.5)) / a)
        )
    else:
        power = p ** (1 / a)
    target = power * torch.exp(_log_gamma_1p(a) / a)
    for _ in range(2):
        t = torch.log1p(_alternating(a, x))
        x = x - (x * torch.exp(t / a) - target) * torch.exp(x + t - t / a)
    return x


def _quantile_at_end(end: Tensor, a: Tensor, p: Tensor, upper: bool) -> Tensor:
    """x = 0, where x = u + u^2/(a + 1), u = (p Gamma(a + 1))^(1/a), and x = inf, where x_aa = -psi'(a)."""
    shape, at = instead(end, (a.detach(), 1.0), (p.detach(), 0.0))
    zero, inf = torch.zeros_like(shape), torch.full_like(shape, torch.inf)
    top = at == (0 if upper else 1)
    slope = torch.where(top, inf, by_size(shape, 1.0, zero, zero + 1, inf))
    mixed = torch.where(top, inf, by_size(shape, 1.0, zero, inf, inf))
    half = 2 * torch.exp(2 * _log_gamma_1p(torch.full_like(shape, 0.5)))
    low = by_size(shape, 0.5, zero, half, inf)
    bend = torch.where(top, inf, torch.where(shape < 1, low, by_size(shape, 1.0, zero, zero + 1, -inf)))
    sign = -1 if upper else 1
    slopes = {0: torch.where(top, inf, zero), 1: sign * slope}
    of_shape = torch.where(top, -torch.special.zeta(2.0, shape), zero)
    bends = {(0, 0): of_shape, (0, 1): sign * mixed, (1, 1): bend}
    value = torch.where(end, torch.where(top, inf, zero), zero)
    moving = [torch.where(end, a, 1.0), torch.where(end, p, 0.0)]
    return germ(value, moving, slopes, bends)
