# mypy: allow-untyped-defs
"""Relaxed one-hot draws, z = softmax((l + eps)/t) along rows of K, and their derivative, each in one pass.

given g = df/dz:   df/dl_j = df/deps_j = z_j (g_j - sum_k g_k z_k)/t
"""

import numpy as np
from numba import types
from numba.extending import overload
from torch import Tensor

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.fill import CODES, PIECE, next_piece, one_row
from reparam.kernels.cpu.gaussian import exp32
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.threads import together

CODE = CODES["gumbel"]
ROWS = 64  # rows that are worked on together, side by side


def exp(x):
    """Return e^x in the type of x, x <= 0."""


@overload(exp, inline="always")
def _exp(x):
    if x == types.float32:
        return lambda x: exp32(x)
    return lambda x: el.exp(x)


@jit
def forward(logits, eps, t, z):
    """Fill z (n, K), which may be the memory of eps."""
    n, K = z.shape
    some = ROWS if K <= ROWS else 16
    side, top, total = np.empty((K, some), z.dtype), np.empty(some, z.dtype), np.empty(some, z.dtype)
    for start in range(0, n, some):
        m = min(some, n - start)
        l, e = logits[start : start + m].reshape(-1), eps[start : start + m].reshape(-1)
        out = z[start : start + m].reshape(-1)
        for k in range(K):
            for i in range(m):
                side[k, i] = l[i * K + k] + e[i * K + k]
        for i in range(m):
            top[i], total[i] = side[0, i], 0.0
        for k in range(1, K):
            for i in range(m):
                top[i] = top[i] if top[i] > side[k, i] else side[k, i]
        for k in range(K):
            for i in range(m):
                side[k, i] = exp((side[k, i] - top[i]) / t)
                total[i] += side[k, i]
        for i in range(m):
            total[i] = z.dtype.type(1) / total[i]
        for k in range(K):
            for i in range(m):
                out[i * K + k] = side[k, i] * total[i]


@jit
def backward(z, gradient, t, slope):
    """Fill the slope (n, K) in the logits."""
    n, K = z.shape
    for r in range(n):
        total = z.dtype.type(0)
        for k in range(K):
            total += gradient[r, k] * z[r, k]
        for k in range(K):
            slope[r, k] = z[r, k] * (gradient[r, k] - total) / t


@jit
def share(key, step, logits, t, z, taken):
    """Fill z with relaxed draws, a piece at a time; see `kernels.cpu.fill`."""
    n, K = z.shape
    some = max(4, PIECE // K // 4 * 4)  # rows: whole blocks of words
    while True:
        first = some * next_piece(taken, (n + some - 1) // some)
        if first < 0:
            break
        last = min(first + some, n)
        one_row(CODE, key, step, 0, first * K, z[first:last].reshape(-1))
        forward(logits[first:last], z[first:last], t, z[first:last])


def draw(key: int, step: int, logits: Tensor, t: float, z: Tensor) -> None:
    """Fill z (n, K) with softmax((logits + eps)/t), eps being the Gumbel noise of an address without rows."""
    out = z.numpy()
    together(share, key, step, logits.detach().numpy(), out.dtype.type(t), out, size=out.size)
