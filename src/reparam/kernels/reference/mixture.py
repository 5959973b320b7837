"""The quantile of a mixture of normals by bisection: F(z) = sum_k w_k Phi((z - m_k)/s_k) = Phi(eps), w = softmax(l)."""

from __future__ import annotations

import torch
from torch import Tensor

from reparam.kernels.reference.implicit import in_double


def mixture_quantile(eps: Tensor, log_weights: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Return z of the shape of eps; the parameters have one more axis, the last one, of K components."""
    return in_double(_bisected, eps.unsqueeze(-1), log_weights, loc, scale)[0]


def _bisected(eps: Tensor, log_weights: Tensor, loc: Tensor, scale: Tensor) -> tuple[Tensor]:
    eps, w = eps[..., :1], torch.softmax(log_weights, -1)
    side = torch.where(eps < 0, 1.0, -1.0)  # the mirror image above the median: F is the smaller tail
    each = torch.where(w > 0, side * loc + scale * side * eps, torch.nan)
    low = torch.where(each.isnan(), torch.inf, each).amin(-1, keepdim=True)
    high = torch.where(each.isnan(), -torch.inf, each).amax(-1, keepdim=True)
    target = _ndtr(side * eps)
    for _ in range(120):
        middle = 0.5 * (low + high)
        left = (w * _ndtr((middle - side * loc) / scale)).sum(-1, keepdim=True) < target
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    return ((side * 0.5 * (low + high)).squeeze(-1),)


def _ndtr(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-(0.5**0.5) * x)
