"""Incomplete gamma and beta functions and their inverses, with derivatives in every argument.

Next to x = 0 the gamma functions are their leading terms with one correction, which have the right values and
derivatives at 0 (the beta functions: see `special.beta`):

    P(a, x) = x^a e^(-x a/(a + 1))/Gamma(a + 1)    x = L e^(L/(a + 1)), L = (p Gamma(a + 1))^(1/a)

Arguments outside the domain give nan, and nan for their derivatives.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reparam.kernels.reference.implicit import polynomial
from reparam.kernels.tables import table
from reparam.special.beta import beta_below, beta_quantile
from reparam.special.implicit import quantile, tails
from reparam.special.logarithms import log_quotient
from reparam.special.normal import _in_double, _log_ndtr, _score, refuse

CENTRAL_FROM = 1e3
LEADING_BELOW = 1e-17  # x: what the leading terms leave out is below rounding
SCORE_ROWS = table("gamma_score_64")[
    4::-1
].tolist()  # s_4, .., s_0: the powers of 1/alpha that count from there on


def gamma_tails(w: Tensor, y: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Return log P(alpha, e^y) and log Q(alpha, e^y), given y and w = y - log alpha.

    Large shapes feel the rounding of y: sqrt(alpha) |N| eps |y| of P, N the normal score. There P = Phi(N), with
    N = sqrt(alpha) sum_k alpha^-k s_k(w); the derivatives stay those of `tails`.
    """
    lower, upper = tails("gamma", y, alpha)
    a, u = alpha.detach(), w.detach()
    central = (a > CENTRAL_FROM) & (u.abs() < 0.5)
    a, u = torch.where(central, a, CENTRAL_FROM), torch.where(central, u, 0.0)
    score = torch.zeros_like(u)
    for row in SCORE_ROWS:
        score = score / a + polynomial(row, u)
    score = a.sqrt() * score
    near = [torch.where(central, _log_ndtr(side), known) for side, known in ((score, lower), (-score, upper))]
    return lower + (near[0] - lower).detach(), upper + (near[1] - upper).detach()


def _positive(*parameters: Tensor) -> Tensor:
    """Where all parameters are positive and finite."""
    valid = torch.ones_like(parameters[0], dtype=torch.bool)
    for p in parameters:
        valid = valid & (p > 0) & (p < torch.inf)
    return valid


def _safe(where: Tensor, x: Tensor, other: float) -> Tensor:
    return torch.where(where, x, other)


def _gamma_sides(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return P and Q."""
    a, x = torch.broadcast_tensors(a, x)
    valid = _positive(a) & (x >= 0)
    low, high = valid & (x < LEADING_BELOW), x == torch.inf
    inner = valid & ~low & ~high
    shape, at = _safe(inner, a, 1.0), _safe(inner, x, 1.0)
    lower, upper = gamma_tails(log_quotient(at, shape), at.log(), shape)
    shape, at = _safe(low, a, 1.0), _safe(low, x, 1e-20)
    lead = at**shape * torch.exp(-at * shape / (shape + 1) - torch.lgamma(shape + 1))
    P = torch.where(high, 1.0, torch.where(low, lead, lower.exp()))
    Q = torch.where(high, 0.0, torch.where(low, 1 - lead, upper.exp()))
    return refuse(P, valid, a, x), refuse(Q, valid, a, x)


def _gamma_quantile(a: Tensor, p: Tensor, upper: bool) -> Tensor:
    """Return x with P(a, x) = p, or Q(a, x) = p."""
    a, p = torch.broadcast_tensors(a, p)
    valid = _positive(a) & (p >= 0) & (p <= 1)
    far = valid & (p == (0 if upper else 1))
    near = 1 - p if upper else p
    log_gamma = torch.lgamma(_safe(valid, a, 1.0) + 1)
    with torch.no_grad():
        size = (near.log() + log_gamma) / a
        low = valid & ~far & (size < math.log(LEADING_BELOW))
    inner = valid & ~far & ~low
    score = _score(_safe(inner, p, 0.5))
    x = quantile("gamma", -score if upper else score, _safe(inner, a, 1.0)).exp()
    shape = _safe(low, a, 1.0)
    lead = _safe(low, near, 1e-20) ** (1 / shape) * torch.exp(torch.lgamma(shape + 1) / shape)
    x = torch.where(low, lead * torch.exp(lead / (shape + 1)), x)
    edge = _safe(far, p, 0.5)
    x = torch.where(far, -a * (edge.log() if upper else torch.log1p(-edge)), x)
    return refuse(x, valid, a, p)


def gammainc(a: Tensor, x: Tensor) -> Tensor:
    """Return P(a, x) = integral_0^x t^(a-1) e^-t dt / Gamma(a).

    Args:
        a: > 0. x: >= 0, inf included.

    **Gradient**: dP/dx = f, dP/da = -f v, with the density f and the velocity v of the Gamma law at x; twice
    differentiable in both arguments.

    Example:
        >>> gammainc(torch.tensor(2.0, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64))
        tensor(0.8009, dtype=torch.float64)
    """
    return _in_double(lambda a, x: _gamma_sides(a, x)[0], a, x)


def gammaincc(a: Tensor, x: Tensor) -> Tensor:
    """Return Q(a, x) = 1 - P(a, x), accurate also where it is small (see `gammainc`)."""
    return _in_double(lambda a, x: _gamma_sides(a, x)[1], a, x)


def gammaincinv(a: Tensor, p: Tensor) -> Tensor:
    """Return x with P(a, x) = p, 0 <= p <= 1; dx/da is the pathwise derivative of a Gamma draw."""
    return _in_double(lambda a, p: _gamma_quantile(a, p, False), a, p)


def gammainccinv(a: Tensor, q: Tensor) -> Tensor:
    """Return x with Q(a, x) = q, 0 <= q <= 1: the upper tail without rounding."""
    return _in_double(lambda a, q: _gamma_quantile(a, q, True), a, q)


def betainc(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Return I_x(a, b) = integral_0^x t^(a-1) (1-t)^(b-1) dt / B(a, b).

    Args:
        a, b: > 0. x: in [0, 1].

    **Gradient**: exact in all three arguments, twice; the derivatives in a and b are -f v with the velocities v of the
    Beta law.

    Example:
        >>> one = torch.tensor(1.0, dtype=torch.float64)
        >>> betainc(2 * one, 3 * one, 0.5 * one)
        tensor(0.6875, dtype=torch.float64)
    """
    return _in_double(beta_below, a, b, x)


def betaincinv(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """Return x with I_x(a, b) = p, 0 <= p <= 1."""
    return _in_double(beta_quantile, a, b, p)
