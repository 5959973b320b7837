# mypy: allow-untyped-defs
"""Draws of location-scale laws, z = loc + scale eps, in the pass that draws eps: a piece at a time, within the cache.

Product and sum are rounded apart, so that z has the bits of `loc + scale * eps` in torch.
"""

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
    """Fill eps with noise and z with loc + scale eps, a piece at a time; see `kernels.cpu.fill`."""
    while True:
        first = PIECE * next_piece(taken, (len(z) + PIECE - 1) // PIECE)
        if first < 0:
            break
        last = min(first + PIECE, len(z))
        one_row(law, key, step, 0, first, eps[first:last])
        if len(loc) == 1:
            affine(loc, scale, eps[first:last], z[first:last])
        else:
            affine(loc[first:last], scale[first:last], eps[first:last], z[first:last])


def draw_affine(law: str, key: int, step: int, loc: Tensor, scale: Tensor, z: Tensor, eps: Tensor) -> None:
    """Fill z and eps (which may be one memory) at an address without rows; contiguous, float32 or float64."""
    m, s, noise, out = (t.detach().view(-1).numpy() for t in (loc, scale, eps, z))
    together(share, CODES[law], key, step, m, s, noise, out, size=len(out))
