"""Incomplete gamma and beta functions and their inverses, with derivatives in every argument.

Next to x = 0 the beta functions are their leading terms with one correction, which have the right values and
derivatives at 0 (the gamma functions: see `special.gamma`):

    I_x(a, b) = x^a e^(x a (1 - b)/(a + 1))/(a B(a, b))  x = L e^(L (b - 1)/(a + 1)),    L = (p a B(a, b))^(1/a)

Arguments outside the domain give nan, and nan for their derivatives.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reparam.special.densities import log_gamma_gap
from reparam.special.gamma import gamma_quantile, gamma_sides
from reparam.special.implicit import quantile, tails
from reparam.special.logarithms import sigmoid
from reparam.special.normal import _in_double, _score, refuse

LEADING_BELOW = 1e-17  # x, times b: what the leading terms leave out is below rounding


def _logit(x: Tensor) -> Tensor:
    return x.log() - torch.log1p(-x)


def _positive(*parameters: Tensor) -> Tensor:
    """Where all parameters are positive and finite."""
    valid = torch.ones_like(parameters[0], dtype=torch.bool)
    for p in parameters:
        valid = valid & (p > 0) & (p < torch.inf)
    return valid


def _safe(where: Tensor, x: Tensor, other: float) -> Tensor:
    return torch.where(where, x, other)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    """Return log(a B(a, b)) for an a that is not large."""
    return torch.lgamma(a + 1) - log_gamma_gap(b, a)


def _beta_below(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Return I_x(a, b)."""
    a, b, x = torch.broadcast_tensors(a, b, x)
    valid = _positive(a, b) & (x >= 0) & (x <= 1)
    low, high = valid & (x * b.clamp(min=1) < LEADING_BELOW), valid & (x == 1)
    inner = valid & ~low & ~high
    first, second = _safe(inner, a, 1.0), _safe(inner, b, 1.0)
    value = tails("beta", _logit(_safe(inner, x, 0.5)), first, second)[0].exp()
    value = torch.where(low, _beta_lead(low, a, b, x), value)
    return refuse(torch.where(high, 1 - _beta_lead(high, b, a, 1 - x), value), valid, a, b, x)


def _beta_lead(where: Tensor, a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    a, b, x = _safe(where, a, 1.0), _safe(where, b, 1.0), _safe(where, x, 1e-20)
    return x**a * torch.exp(x * a * (1 - b) / (a + 1) - _log_beta(a, b))


def _beta_quantile(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """Return x with I_x(a, b) = p."""
    a, b, p = torch.broadcast_tensors(a, b, p)
    valid = _positive(a, b) & (p >= 0) & (p <= 1)
    high = valid & (p == 1)
    with torch.no_grad():
        size = (p.log() + _log_beta(a, b)) / a + b.clamp(min=1).log()
        low = valid & ~high & (size < math.log(LEADING_BELOW))
    inner = valid & ~high & ~low
    score = _score(_safe(inner, p, 0.5))
    x = sigmoid(quantile("beta", score, _safe(inner, a, 1.0), _safe(inner, b, 1.0)))
    x = torch.where(low, _beta_lead_inverse(low, a, b, p), x)
    return refuse(torch.where(high, 1 - _beta_lead_inverse(high, b, a, 1 - p), x), valid, a, b, p)


def _beta_lead_inverse(where: Tensor, a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    a, b, p = _safe(where, a, 1.0), _safe(where, b, 1.0), _safe(where, p, 1e-20)
    lead = p ** (1 / a) * torch.exp(_log_beta(a, b) / a)
    return lead * torch.exp(lead * (b - 1) / (a + 1))


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
    return _in_double(lambda a, x: gamma_sides(a, x)[0], a, x)


def gammaincc(a: Tensor, x: Tensor) -> Tensor:
    """Return Q(a, x) = 1 - P(a, x), accurate also where it is small (see `gammainc`)."""
    return _in_double(lambda a, x: gamma_sides(a, x)[1], a, x)


def gammaincinv(a: Tensor, p: Tensor) -> Tensor:
    """Return x with P(a, x) = p, 0 <= p <= 1; dx/da is the pathwise derivative of a Gamma draw."""
    return _in_double(lambda a, p: gamma_quantile(a, p, False), a, p)


def gammainccinv(a: Tensor, q: Tensor) -> Tensor:
    """Return x with Q(a, x) = q, 0 <= q <= 1: the upper tail without rounding."""
    return _in_double(lambda a, q: gamma_quantile(a, q, True), a, q)


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
    return _in_double(_beta_below, a, b, x)


def betaincinv(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """Return x with I_x(a, b) = p, 0 <= p <= 1."""
    return _in_double(_beta_quantile, a, b, p)
