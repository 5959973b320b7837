# mypy: allow-untyped-defs
"""Relaxed one-hot draws, z = softmax((l + eps)/t) along rows of K, and their derivative, each in one pass.

given g = df/dz:   df/dl_j = df/deps_j = z_j (g_j - sum_k g_k z_k)/t
"""

import math

from numba import types
from numba.extending import overload

from reparam.kernels.cpu.gaussian import exp32
from reparam.kernels.cpu.jit import jit

ROWS = 64  # rows that are worked on together: their numbers stay in the nearest cache


def exp(x):
    """Return e^x in the type of x, x <= 0."""


@overload(exp, inline="always")
def _exp(x):
    if x == types.float32:
        return lambda x: exp32(x)
    return lambda x: math.exp(x)


@jit
def forward(logits, eps, t, z):
    """Fill z (n, K)."""
    n, K = z.shape
    for start in range(0, n, ROWS):
        l, e = logits[start : start + ROWS].reshape(-1), eps[start : start + ROWS].reshape(-1)
        out = z[start : start + ROWS].reshape(-1)
        for i in range(len(out)):
            out[i] = (l[i] + e[i]) / t
        for r in range(0, len(out), K):
            top = out[r]
            for k in range(1, K):
                top = max(top, out[r + k])
            for k in range(K):
                out[r + k] -= top
        for i in range(len(out)):
            out[i] = exp(out[i])
        for r in range(0, len(out), K):
            total = out[r]
            for k in range(1, K):
                total += out[r + k]
            total = z.dtype.type(1) / total
            for k in range(K):
                out[r + k] *= total


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
