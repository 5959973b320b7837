"""Incomplete gamma and beta functions and their inverses, with derivatives in every argument.

The formulas, region by region, are those of `special.gamma` and `special.beta`. Arguments outside the domain give nan,
and nan for their derivatives.
"""

from __future__ import annotations

from torch import Tensor

from reparam.special.beta import beta_below, beta_quantile
from reparam.special.gamma import gamma_quantile, gamma_sides
from reparam.special.normal import _in_double


def gammainc(a: Tensor, x: Tensor) -> Tensor:
    """Return P(a, x) = integral_0^x t^(a-1) e^-t dt / Gamma(a).

    Args:
        a: > 0. x: >= 0, inf included.

    **Gradient**: dP/dx = f, dP/da = -f v, with the density f and the velocity v of the Gamma law at x; twice
    differentiable in both arguments.

    Example:
        >>> import torch
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
        >>> import torch
        >>> one = torch.tensor(1.0, dtype=torch.float64)
        >>> betainc(2 * one, 3 * one, 0.5 * one)
        tensor(0.6875, dtype=torch.float64)
    """
    return _in_double(beta_below, a, b, x)


def betaincinv(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """Return x with I_x(a, b) = p, 0 <= p <= 1."""
    return _in_double(beta_quantile, a, b, p)
