# mypy: allow-untyped-defs
"""Draws of location-scale laws, z = loc + scale eps, in the pass that draws eps: a piece at a time, within the cache.

Product and sum are rounded apart, so that z has the bits of `loc + scale * eps` in torch.
"""

import numpy as np
from torch import Tensor

from reparam.kernels.cpu.fill import CODES, PIECE, next_piece, one_row
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.threads import together


@jit(fastmath=False)
def affine(loc, scale, eps, z):
    """z = loc + scale eps; loc and scale have the length of eps, or 1."""
    if len(loc) == 1:
        m, s = loc[0], scale[0]
        for i in range(len(eps)):
            z[i] = m + s * eps[i]
    else:
        for i in range(len(eps)):
            z[i] = loc[i] + scale[i] * eps[i]


@jit(fastmath=False)
def share(law, key, step, loc, scale, eps, z, taken):
    """Fill z with loc + scale eps and eps, unless it is empty, with the noise, a piece at a time."""
    scratch = np.empty(0 if len(eps) else min(len(z), PIECE), z.dtype)
    while True:
        first = PIECE * next_piece(taken, (len(z) + PIECE - 1) // PIECE)
        if first < 0:
            break
        last = min(first + PIECE, len(z))
        noise = (
            eps[first:last] if len(eps) else scratch[: last - first]
        )  # not z: a loop over one memory is slow
        one_row(law, key, step, 0, first, noise)
        if len(loc) == 1:
            affine(loc, scale, noise, z[first:last])
        else:
            affine(loc[first:last], scale[first:last], noise, z[first:last])


def draw_affine(law: str, key: int, step: int, loc: Tensor, scale: Tensor, z: Tensor, eps: Tensor) -> None:
    """Fill z, and eps unless it is empty, at an address without rows; contiguous, float32 or float64."""
    m, s, noise, out = (t.detach().view(-1).numpy() for t in (loc, scale, eps, z))
    together(share, CODES[law], key, step, m, s, noise, out, size=len(out))
