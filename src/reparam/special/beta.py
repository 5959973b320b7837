"""I_x(a, b) and its inverse, region by region; every derivative is that of the formula used.

    x b < 1e-17   I_x = x^a e^(x a (1 - b)/(a + 1))/(a B(a, b)), and with L = (p a B(a, b))^(1/a)
                  x = L e^(L (b - 1)/(a + 1))
    else          the kernels `tails` and `quantile` at logit x

At x, p = 0 and 1 the functions are polynomials that have the limits as their derivatives.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reparam.kernels.reference.implicit import log_gamma_gap
from reparam.special.densities import HALF_LOG_2PI, log1p_rest, stirling_remainder
from reparam.special.ends import by_size, germ, instead
from reparam.special.implicit import hazards, quantile, tails
from reparam.special.logarithms import sigmoid
from reparam.special.normal import _score, refuse

LEADING_BELOW = 1e-17  # x b: what the leading terms leave out is below rounding
LEAST_CENTRAL = 15.0
SPLIT = 2.0**27 + 1  # t SPLIT - (t SPLIT - t) has the leading 26 bits of t


def _positive(a: Tensor, b: Tensor) -> Tensor:
    return (a > 0) & (a < torch.inf) & (b > 0) & (b < torch.inf)


def _logit(x: Tensor) -> Tensor:
    """log(x/(1 - x)), about 1/2 by the difference 2x - 1, which is exact."""
    near = (x > 0.25) & (x < 0.75)
    inner, outer = torch.where(near, x, 0.5), torch.where(near, 0.125, x)
    return torch.where(near, torch.log1p((2 * inner - 1) / (1 - inner)), outer.log() - torch.log1p(-outer))


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    """log(a B(a, b)), whose second derivatives have all digits (not so those of torch.lgamma)."""
    return log_gamma_gap(torch.ones_like(a), a) - log_gamma_gap(b, a)


def beta_below(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Return I_x(a, b)."""
    a, b, x = torch.broadcast_tensors(a, b, x)
    valid = _positive(a, b) & (x >= 0) & (x <= 1)
    end = valid & ((x == 0) | (x == 1))
    low = valid & ~end & (x * b.clamp(min=1) < LEADING_BELOW)
    p, q, at = instead(valid & ~end & ~low, (a, 1.0), (b, 1.0), (x, 0.5))
    xi = _logit(at)
    lower = tails("beta", xi, p, q)[0]
    value = (lower + _correction(lower.detach(), xi.detach(), p.detach(), q.detach(), at.detach())).exp()
    value = torch.where(low, _lead(*instead(low, (a, 1.0), (b, 1.0), (x, 1e-20))), value)
    return refuse(torch.where(end, _at_end(end, a, b, x), value), valid, a, b, x)


def _correction(lower: Tensor, xi: Tensor, a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """What log I_x at xi lacks for large a and b, which feel the rounding of xi: sqrt(a) times a normal score of it.

    With the density f at x itself and the hazard h of the nearer tail, which is smooth, that tail is f/h.
    """
    gap = _gap(a, b, x)
    u, v = gap / a, -gap / b
    central = (torch.minimum(a, b) >= LEAST_CENTRAL) & (u < 2) & (v < 2)
    p, q, u, v, at = instead(central, (a, LEAST_CENTRAL), (b, LEAST_CENTRAL), (u, 0.0), (v, 0.0), (x, 0.5))
    rest = stirling_remainder(p + q) - stirling_remainder(p) - stirling_remainder(q)
    log_f = 0.5 * (p * (q / (p + q))).log() - HALF_LOG_2PI + rest
    for size, gap_of, part in ((p, u, at), (q, v, 1 - at)):  # p u + q v = 0
        far = gap_of < -0.5
        log_ratio = torch.where(far, part * ((p + q) / size), 1.0).log() - gap_of
        log_f = log_f + size * torch.where(far, log_ratio, log1p_rest(gap_of.clamp(min=-0.5)))
    of_lower, of_upper = hazards("beta", xi, a, b)
    near = log_f - torch.where(gap < 0, of_lower, of_upper).log()
    exact = torch.where(gap < 0, near, torch.log1p(-near.exp().clamp(max=0.9)))
    return torch.where(central, exact - lower, 0.0)


def _gap(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """x (a + b) - a with the rounding errors of the sum and of the product added."""
    S = a + b
    lost = (a - (S - b)) + (b - (S - (S - b)))
    product = S * x
    S_high, x_high = (t * SPLIT - (t * SPLIT - t) for t in (S, x))
    S_low, x_low = S - S_high, x - x_high
    error = ((S_high * x_high - product) + S_high * x_low + S_low * x_high) + S_low * x_low
    return (product - a) + (error + lost * x)


def _lead(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return torch.exp(a * x.log() + x * a * (1 - b) / (a + 1) - _log_beta(a, b))


def beta_quantile(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """Return x with I_x(a, b) = p."""
    a, b, p = torch.broadcast_tensors(a, b, p)
    valid = _positive(a, b) & (p >= 0) & (p <= 1)
    end = valid & ((p == 0) | (p == 1))
    shape, other, inner = instead(valid & ~end, (a, 1.0), (b, 1.0), (p, 0.5))
    with torch.no_grad():
        size = (inner.log() + _log_beta(shape, other)) / shape + other.clamp(min=1).log()
        low = valid & ~end & (size < math.log(LEADING_BELOW))
    central = ~end & ~low
    x = sigmoid(
        quantile(
            "beta",
            *instead(central, (_score(instead(central, (inner, 0.5))[0]), 0.0), (shape, 1.0), (other, 1.0)),
        )
    )
    x = torch.where(low, _lead_inverse(*instead(low, (a, 1.0), (b, 1.0), (p, 1e-20))), x)
    return refuse(torch.where(end, _quantile_at_end(end, a, b, p), x), valid, a, b, p)


def _lead_inverse(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    lead = torch.exp((p.log() + _log_beta(a, b)) / a)
    return lead * torch.exp(lead * (b - 1) / (a + 1))


def _at_end(end: Tensor, a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """I_x at x = 0, where f = x^(a-1) (1-x)^(b-1)/B(a, b), and at x = 1, where 1 - I_x = I_{1-x}(b, a)."""
    top = end & (x.detach() == 1)
    s, t = _nearer(end, top, a, b)
    slope = by_size(s, 1.0, math.inf, t, 0.0)
    bend = by_size(s, 1.0, -math.inf, t - t * t, math.inf)
    bend = torch.where(s < 2, bend, by_size(s, 2.0, 0.0, t + t * t, 0.0))
    of_near, of_far = by_size(s, 1.0, -math.inf, -math.inf, 0.0), by_size(s, 1.0, math.inf, 1.0, 0.0)
    return _from_end(end, top, (a, b, x), slope, bend, of_near, of_far)


def _quantile_at_end(end: Tensor, a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """x = L + .. at p = 0, L = (p a B(a, b))^(1/a), and at p = 1, where 1 - x is that of (b, a, 1 - p)."""
    top = end & (p.detach() == 1)
    s, t = _nearer(end, top, a, b)
    half = 2 * torch.exp(2 * _log_beta(torch.full_like(t, 0.5), t))
    slope = by_size(s, 1.0, 0.0, 1 / t, math.inf)
    low = by_size(s, 0.5, 0.0, half, math.inf)
    bend = torch.where(s < 1, low, by_size(s, 1.0, 0.0, (t - 1) / (t * t), -math.inf))
    of_near = by_size(s, 1.0, 0.0, math.inf, math.inf)
    of_far = by_size(s, 1.0, 0.0, -1 / (t * t), -math.inf)
    return _from_end(end, top, (a, b, p), slope, bend, of_near, of_far)


def _nearer(end: Tensor, top: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The concentrations of the nearer and of the farther end, without derivatives."""
    a, b = instead(end, (a.detach(), 3.0), (b.detach(), 3.0))
    return torch.where(top, b, a), torch.where(top, a, b)


def _from_end(
    end: Tensor,
    top: Tensor,
    arguments: tuple[Tensor, ...],
    slope: Tensor,
    bend: Tensor,
    of_near: Tensor,
    of_far: Tensor,
) -> Tensor:
    """0, or 1 at the top: the quadratic polynomial in the arguments (a, b, x) with these derivatives.

    Args:
        slope, bend: the first and second derivative in x; at the top, the bend of 1 - (..) in 1 - x.
        of_near, of_far: the derivative of `slope` in the concentrations of the nearer and of the farther end.
    """
    of_a, of_b = torch.where(top, of_far, of_near), torch.where(top, of_near, of_far)
    moving = [torch.where(end, t, 0.0) for t in arguments]
    bends = {(0, 2): of_a, (1, 2): of_b, (2, 2): torch.where(top, -bend, bend)}
    return germ(top.to(slope.dtype), moving, {2: slope}, bends)
