# mypy: allow-untyped-defs
"""Two Halley steps towards the quantile of a mixture of normals in single precision: a start that is good to 1e-3.

Twice as many numbers fit into a vector as in double, and the functions need four digits only: the one or two steps in
double that follow decide the result. A start may be bad (parameters or tails beyond float32) but never outside its
bracket. Arrays as in `mixture`, in float32.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu.floats import bits_of_float32, float32_of
from reparam.kernels.cpu.jit import jit

f4 = np.float32
STEPS = 2
ZERO, HALF, ONE, TWO, FOUR = f4(0), f4(0.5), f4(1), f4(2), f4(4)
LOG2E, LN2, MAGIC, LEAST, UNDER = f4(1.44269504), f4(0.69314718), f4(12582912.0), f4(-87.0), f4(1e-38)
E3, E4 = f4(1 / 6), f4(1 / 24)
# Phi(-t) e^(t^2/2) (1 + 2 t) in (t - 4)/(t + 4): relative error 4e-5
T0, T1, T2, T3 = f4(0.849682975), f4(-0.0231801943), f4(-0.0959989676), f4(0.130192425)
T4, T5, T6 = f4(-0.09705298), f4(0.0419488093), f4(-0.00769167500)
# log(1 + x)/x for sqrt(1/2) <= 1 + x < sqrt(2): absolute error of the logarithm 2e-5
L0, L1, L2, L3, L4 = f4(0.999967099), f4(-0.499441109), f4(0.336324756), f4(-0.271105925), f4(0.177214771)
ROOT_HALF, MANTISSA, BIAS = np.uint32(0x3F3504F3), np.uint32(0x007FFFFF), f4(128)
INV_ROOT_2PI = f4(0.398942280)


@jit(forceinline=True)
def exp(x):
    """e^x for x <= 0, e^-87 below -87."""
    x = x if x > LEAST else LEAST
    t = x * LOG2E + MAGIC
    r = x - (t - MAGIC) * LN2
    p = ONE + r * (ONE + r * (HALF + r * (E3 + r * E4)))
    return p * float32_of(np.uint32((bits_of_float32(t) + np.uint32(127)) << np.uint32(23)))


@jit(forceinline=True)
def log(x):
    """log x, x >= 1e-38."""
    bits = bits_of_float32(x if x > UNDER else UNDER) - ROOT_HALF
    n = f4(np.int32(np.uint32(bits + np.uint32(0x40000000)) >> np.uint32(23))) - BIAS
    x = float32_of(np.uint32((bits & MANTISSA) + ROOT_HALF)) - ONE
    return n * LN2 + x * (L0 + x * (L1 + x * (L2 + x * (L3 + x * L4))))


@jit(forceinline=True)
def scaled(t):
    """Phi(-t) e^(t^2/2), t >= 0."""
    a, b = t + FOUR, ONE + TWO * t
    inverse = ONE / (a * b)
    q = (t - FOUR) * b * inverse
    return (T0 + q * (T1 + q * (T2 + q * (T3 + q * (T4 + q * (T5 + q * T6)))))) * (a * inverse)


@jit
def evaluate(y, m, W, M, R, side, F, f, g):
    """F, f sqrt(2 pi) and f' sqrt(2 pi) of the mirrored mixture at y."""
    for i in range(m):
        F[i], f[i], g[i] = ZERO, ZERO, ZERO
    for k in range(W.shape[0]):
        for i in range(m):
            r = R[k, i]
            t = (y[i] - side[i] * M[k, i]) * r
            e = exp(-HALF * t * t)
            tail = e * scaled(abs(t))
            F[i] += W[k, i] * (tail if t < ZERO else ONE - tail)
            p = W[k, i] * r * e
            f[i] += p
            g[i] -= p * r * t


@jit
def advance(m, F, f, g, target, low, high, y):
    """One Halley step on log F - target, or half the bracket where it leaves that."""
    for i in range(m):
        gap = log(F[i]) - target[i]
        at = y[i]
        low[i] = at if gap < ZERO else low[i]
        high[i] = at if gap > ZERO else high[i]
        slope = f[i] * INV_ROOT_2PI / F[i]
        bend = g[i] / f[i]
        newton = gap / slope
        curve = ONE - HALF * newton * (bend - slope)
        curve = curve if curve > HALF else HALF
        new = at - newton / (curve if curve < TWO else TWO)
        y[i] = new if new >= low[i] and new <= high[i] else HALF * (low[i] + high[i])


@jit
def approach(m, W, M, R, side, target, low, high, y, Z):
    """Move y (double) towards the quantile inside [low, high]; Z is (8, BLOCK) of float32 room."""
    for i in range(m):
        Z[0, i], Z[1, i], Z[2, i] = y[i], low[i], high[i]
        Z[3, i], Z[4, i] = target[i], side[i]
    for _ in range(STEPS):
        evaluate(Z[0], m, W, M, R, Z[4], Z[5], Z[6], Z[7])
        advance(m, Z[5], Z[6], Z[7], Z[3], Z[1], Z[2], Z[0])
    for i in range(m):
        y[i] = min(max(np.float64(Z[0, i]), low[i]), high[i])
