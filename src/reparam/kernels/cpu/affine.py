# mypy: allow-untyped-defs
"""Draws of location-scale laws, z = loc + scale eps, in the pass that draws eps: a piece at a time, within the cache.

Product and sum are rounded apart, so that z has the bits of `loc + scale * eps` in torch.
"""

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu.draw import MAPS32, MAPS64, chunk
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.threads import SERIAL_BELOW, run_chunks

PIECE = 16384  # elements, a whole number of blocks of words


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


def draw_affine(law: str, key: int, step: int, loc: Tensor, scale: Tensor, z: Tensor, eps: Tensor) -> None:
    """Fill z and eps (which may be one memory) at an address without rows; contiguous, float32 or float64."""
    wide = z.dtype == torch.float64
    mapping, per = (MAPS64[law], 2) if wide else (MAPS32[law], 1)
    m, s, out, noise = (t.detach().view(-1).numpy() for t in (loc, scale, z, eps))
    shared = len(m) == 1

    def work(number: int) -> None:
        part = slice(number * PIECE, (number + 1) * PIECE)
        own = slice(0, 1) if shared else part
        chunk(mapping, key, step, 0, number * PIECE * per // 4, noise[part].view(np.uint32), noise.dtype)
        affine(m[own], s[own], noise[part], out[part])

    run_chunks(work, -(-len(out) // PIECE), len(out) >= SERIAL_BELOW)
