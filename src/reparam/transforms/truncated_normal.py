"""The truncated normal quantile at u = sigmoid(eps), in logarithms of the nearer tail, so that no tail is too far.

    z = loc + scale Phi^{-1}((1 - u) Phi(a) + u Phi(b)),   a = (low - loc)/scale,  b = (high - loc)/scale

In eager mode on the CPU one kernel pass gives z and dz/dlow, dz/dhigh, dz/dloc, dz/dscale, and a backward pass is a
multiplication; elsewhere, and for derivatives of derivatives, plain torch in float64.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reparam.kernels.cpu import truncated as kernel
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.pieces import run_pieces
from reparam.kernels.product import product
from reparam.special import ndtri_exp
from reparam.transforms.fused import Fused, partials
from reparam.transforms.gaussian_tail import log_add, log_cdf


def truncated_normal_quantile(eps: Tensor, loc: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the quantile of N(loc, scale^2) on [low, high] at sigmoid(eps), all arguments broadcast.

    **Gradient**: exact in every argument; second derivatives and every mode through plain torch.

    Example:
        >>> far = [torch.tensor(v) for v in (0.0, 0.0, 1.0, 9.0, 11.0)]
        >>> truncated_normal_quantile(*far)
        tensor(9.0758)
    """
    return QUANTILE(*torch.broadcast_tensors(eps, loc, scale, low, high))


def _forward(*inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    eps = inputs[0]
    out = tuple(empty(eps.shape, eps.dtype) for _ in range(5))
    draw = kernel.draw64 if eps.dtype == torch.float64 else kernel.draw32
    run_pieces(draw, tuple(x.contiguous() for x in inputs), out)
    return out[0], out[1:]


def _backward(inputs: Any, z: Tensor, kept: Any, gradient: Tensor, needed: Any) -> tuple[Tensor | None, ...]:
    of_eps = None
    if needed[0]:
        of_eps = partials(_plain, inputs, gradient, (True, False, False, False, False))[0]
    slopes = (product(gradient, slope) if need else None for slope, need in zip(kept, needed[1:]))
    return of_eps, *slopes


def _plain(eps: Tensor, *parameters: Tensor) -> Tensor:
    loc, scale, low, high = (p.double() for p in parameters)
    a, b = (_standard(end, loc, scale) for end in (low, high))
    log_u, log_v = logsigmoid(eps.double()), logsigmoid(-eps.double())
    below = log_add(log_cdf(a) + log_v, log_cdf(b) + log_u)
    above = log_add(log_cdf(-a) + log_v, log_cdf(-b) + log_u)
    lower = below < above
    tail = ndtri_exp(torch.where(lower, below, above))
    z = loc + scale * torch.where(lower, tail, -tail)
    z = torch.where(z < low, low, torch.where(z > high, high, z))
    return z.to(parameters[0].dtype)


def _standard(end: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    finite = torch.isfinite(end)  # an infinite bound has no derivative in loc and scale
    return torch.where(finite, (torch.where(finite, end, 0.0) - loc) / scale, end)


QUANTILE = Fused(_forward, _backward, _plain)
