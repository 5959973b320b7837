"""Incomplete gamma and beta functions and their inverses, with derivatives in every argument."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reparam.special.implicit import quantile, tails


def _in_double(function: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    """Evaluate in double and round once to the promoted dtype of the arguments."""
    dtype = arguments[0].dtype
    for argument in arguments[1:]:
        dtype = torch.promote_types(dtype, argument.dtype)
    if not dtype.is_floating_point:
        raise TypeError(
            f"reparam.special: arguments must be floating point; got {dtype}; convert with .to(torch.float64)"
        )
    return function(*(a.double() for a in arguments)).to(dtype)


def _logit(x: Tensor) -> Tensor:
    return x.log() - torch.log1p(-x)


def gammainc(a: Tensor, x: Tensor) -> Tensor:
    """Return P(a, x) = integral_0^x t^(a-1) e^-t dt / Gamma(a).

    Args:
        a: > 0. x: > 0.

    **Gradient**: dP/dx = f, dP/da = -f v, with the density f and the velocity v of the Gamma law at x; twice
    differentiable in both arguments. At a above 1e6 the rounding of log x is felt: 5e-12 at 1e7.

    Example:
        >>> gammainc(torch.tensor(2.0, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64))
        tensor(0.8009, dtype=torch.float64)
    """
    return _in_double(lambda a, x: tails("gamma", x.log(), a)[0].exp(), a, x)


def gammaincc(a: Tensor, x: Tensor) -> Tensor:
    """Return Q(a, x) = 1 - P(a, x), accurate also where it is small (see `gammainc`)."""
    return _in_double(lambda a, x: tails("gamma", x.log(), a)[1].exp(), a, x)


def gammaincinv(a: Tensor, p: Tensor) -> Tensor:
    """Return x with P(a, x) = p, 0 < p < 1; dx/da is the pathwise derivative of a Gamma draw."""
    return _in_double(lambda a, p: quantile("gamma", torch.special.ndtri(p), a).exp(), a, p)


def gammainccinv(a: Tensor, q: Tensor) -> Tensor:
    """Return x with Q(a, x) = q, 0 < q < 1: the upper tail without rounding."""
    return _in_double(lambda a, q: quantile("gamma", -torch.special.ndtri(q), a).exp(), a, q)


def betainc(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Return I_x(a, b) = integral_0^x t^(a-1) (1-t)^(b-1) dt / B(a, b).

    Args:
        a, b: > 0. x: in (0, 1).

    **Gradient**: exact in all three arguments, twice; the derivatives in a and b are -f v with the velocities v of the
    Beta law.

    Example:
        >>> one = torch.tensor(1.0, dtype=torch.float64)
        >>> betainc(2 * one, 3 * one, 0.5 * one)
        tensor(0.6875, dtype=torch.float64)
    """
    return _in_double(lambda a, b, x: tails("beta", _logit(x), a, b)[0].exp(), a, b, x)


def betaincinv(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """Return x with I_x(a, b) = p, 0 < p < 1."""
    return _in_double(lambda a, b, p: torch.sigmoid(quantile("beta", torch.special.ndtri(p), a, b)), a, b, p)
