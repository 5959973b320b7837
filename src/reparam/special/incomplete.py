"""Incomplete gamma and beta functions and their inverses, with derivatives in every argument."""

from __future__ import annotations

import torch
from torch import Tensor

from reparam.kernels.reference.implicit import polynomial
from reparam.kernels.tables import table
from reparam.special.implicit import quantile, tails
from reparam.special.logarithms import log_quotient
from reparam.special.normal import _in_double, _log_ndtr

CENTRAL_FROM = 1e3
SCORE_ROWS = table("gamma_score_64")[
    4::-1
].tolist()  # s_4, .., s_0: the powers of 1/alpha that count from there on


def _logit(x: Tensor) -> Tensor:
    return x.log() - torch.log1p(-x)


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


def gammainc(a: Tensor, x: Tensor) -> Tensor:
    """Return P(a, x) = integral_0^x t^(a-1) e^-t dt / Gamma(a).

    Args:
        a: > 0. x: > 0.

    **Gradient**: dP/dx = f, dP/da = -f v, with the density f and the velocity v of the Gamma law at x; twice
    differentiable in both arguments.

    Example:
        >>> gammainc(torch.tensor(2.0, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64))
        tensor(0.8009, dtype=torch.float64)
    """
    return _in_double(lambda a, x: gamma_tails(log_quotient(x, a), x.log(), a)[0].exp(), a, x)


def gammaincc(a: Tensor, x: Tensor) -> Tensor:
    """Return Q(a, x) = 1 - P(a, x), accurate also where it is small (see `gammainc`)."""
    return _in_double(lambda a, x: gamma_tails(log_quotient(x, a), x.log(), a)[1].exp(), a, x)


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
