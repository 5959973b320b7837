"""The quantile of the density l e^(l x)/(e^l - 1) on [0, 1], smooth through l = 0, where it is uniform."""

import torch
from torch import Tensor

from reparam.transforms.quotients import exprel, logrel

EXP_LIMIT = {torch.float64: 700.0, torch.float32: 85.0}


def interval_quantile(l: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return the quantile at u = 1 - v: its distance d from the end where the density is larger, or e = 1 - d.

    With r = |l|, p the probability on the side of that end and q = 1 - p,

        d = -log(1 - p (1 - e^-r)) / r = -log(q + p e^-r) / r,   e = log(1 + q (e^r - 1)) / r,

    e where it is below 1/2 and e^r is a number, of the forms of d the one whose logarithm has no argument near 0 or 1.
    """
    up = l > 0
    r, p, q = torch.where(up, l, -l), torch.where(up, v, u), torch.where(up, u, v)
    s = q * exprel(r.clamp(max=EXP_LIMIT[r.dtype]))
    e = s * logrel(r * s)
    near = (e < 0.5) & (r < EXP_LIMIT[r.dtype])
    deep = (r > 1) & (p > 0.5)
    t = torch.where(deep, 0.25, p) * exprel(-r)
    far = torch.where(deep, r, 1.0)
    d = torch.where(
        deep, -torch.log(q + torch.where(deep, p, 1.0) * torch.exp(-far)) / far, t * logrel(-r * t)
    )
    x = torch.where(up, 1 - d, d)
    return torch.where(near, torch.where(up, e, 1 - e), x)
