"""The normal distribution function and its inverse, in both tails and in logarithms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reparam.special.mills import mills

HALF_LOG_2PI = 0.91893853320467274178
FLAT = 1e3  # beyond it Phi and its derivatives are 0 or 1 to the last digit, or smaller than any number
FAR, FRACTION_LEVELS = -10.0, 20


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


def refuse(value: Tensor, valid: Tensor, *arguments: Tensor) -> Tensor:
    """Return the value where the arguments are valid, elsewhere nan with derivatives of nan in all of them."""
    total = torch.zeros_like(value)
    for argument in arguments:
        total = total + torch.where(valid, 0.0, argument)
    return value + total * torch.where(valid, 0.0, torch.nan)


def ndtr(x: Tensor) -> Tensor:
    """Return Phi(x), with relative accuracy in the lower tail: Phi(x) = erfc(-x/sqrt 2)/2."""
    return _in_double(_ndtr, x)


def _ndtr(x: Tensor) -> Tensor:
    return refuse(0.5 * torch.erfc(-(0.5**0.5) * x.clamp(-FLAT, FLAT)), ~x.isnan(), x)


def log_ndtr(x: Tensor) -> Tensor:
    """Return log Phi(x) for any x, also where Phi(x) underflows or rounds to one."""
    return _in_double(lambda x: refuse(_log_ndtr(x), ~x.isnan(), x), x)


def _log_ndtr(x: Tensor) -> Tensor:
    """Three ranges; far out log Phi(-t) = -t^2/2 - log(2 pi)/2 - log(t + c), c = 1/(t + 2/(t + 3/(t + ..))).

    There the fraction's derivatives have no cancellation, which those of erfcx have: (log Phi)'' = -1 + 1/t^2 - ...
    """
    far, low = x < FAR, x < -1.0
    t = torch.where(far, -x, -FAR)
    rest = t
    for k in range(FRACTION_LEVELS, 1, -1):
        rest = t + k / rest
    distant = -0.5 * t * t - HALF_LOG_2PI - torch.log(t + 1 / rest)
    t = torch.where(low & ~far, x, -1.0)
    tail = torch.log(0.5 * torch.special.erfcx(-(0.5**0.5) * t)) - 0.5 * t * t
    body = torch.log1p(-0.5 * torch.erfc(0.5**0.5 * torch.where(low, 0.0, x).clamp(max=FLAT)))
    return torch.where(far, distant, torch.where(low, tail, body))


def ndtri(p: Tensor) -> Tensor:
    """Return x with Phi(x) = p, 0 <= p <= 1. Where 1 - p is known better than p, use -ndtri(1 - p), or `ndtri_exp`."""
    return _in_double(_score, p)


def _score(p: Tensor) -> Tensor:
    """Return the quantile by the smaller tail: 1 - p is exact for p > 1/2."""
    upper = p > 0.5
    x = torch.special.ndtri(torch.where(upper, 1 - p, p))
    return torch.where(upper, -x, x)


def ndtri_exp(log_p: Tensor) -> Tensor:
    """Return x with log Phi(x) = log_p, log_p < 0: both tails, to any depth.

    Newton's x <- x - (log Phi(x) - log_p) Phi(x)/phi(x) from a start without a graph; its last two steps carry
    derivatives, which makes the first and the second derivative exact.

    Example:
        >>> ndtri_exp(torch.tensor([-1e4, -1e-20], dtype=torch.float64))
        tensor([-141.3798,    9.2623], dtype=torch.float64)
    """
    return _in_double(_ndtri_exp, log_p)


def _ndtri_exp(log_p: Tensor) -> Tensor:
    valid, end = log_p <= 0, (log_p == 0) | (log_p == -torch.inf)
    edge = torch.where(end, log_p, -1.0)
    limit = torch.where(edge == 0, torch.special.ndtri(torch.exp(edge)), edge)
    known = torch.where(valid & ~end, log_p, -1.0)
    return refuse(torch.where(end, limit, _inside(known)), valid, log_p)


def _inside(log_p: Tensor) -> Tensor:
    given = log_p.detach()
    upper = given > -0.5
    tail = torch.where(
        upper, -torch.expm1(torch.where(upper, given, -1.0)), torch.exp(given.clamp(min=-600.0))
    )
    x = torch.where(upper, -1.0, 1.0) * torch.special.ndtri(tail)
    size = -2.0 * given.clamp(max=-600.0) - 2.0 * HALF_LOG_2PI
    x = torch.where(given < -600.0, -torch.sqrt(size - size.log()), x)
    for target in (given, given, log_p, log_p):
        x = _newton(x, target)
    return x


def _newton(x: Tensor, log_p: Tensor) -> Tensor:
    """One step on log Phi(x) = log_p, or on the other tail where x > 0."""
    upper = x > 0.5
    t = torch.where(upper, -x, x)
    other = torch.log(-torch.expm1(torch.where(upper, log_p, -1.0)))
    value = _log_ndtr(t)
    gap = value - torch.where(upper, other, log_p)
    step = gap * mills(-t)
    return torch.where(upper, x + step, x - step)
