# mypy: allow-untyped-defs
"""exp, log and their like with the digits that a result asks for: all in double, 1e-9 for single precision."""

import numpy as np
from numba import types
from numba.extending import overload

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit

LN2 = 0.6931471805599453


@jit(forceinline=True)
def reduced(x):
    """r and 2^n with x = n log 2 + r, |r| <= log(2)/2, and e^r - 1 to 2e-10, |x| <= 700."""
    t = x * el.INV_LN2 + el.ROUND
    r = x - (t - el.ROUND) * LN2
    r2 = r * r
    p0 = (0.5 + (1.0 / 6.0) * r) + (1.0 / 24.0 + (1.0 / 120.0) * r) * r2
    p1 = (1.0 / 720.0 + (1.0 / 5040.0) * r) + (1.0 / 40320.0) * r2
    return (p0 + p1 * (r2 * r2)) * r2 + r, el.double_of((el.bits_of(t) + 1023) << 52)


@jit(forceinline=True)
def exp32(x):
    """e^x to 2e-10; beyond 700 as at 700, which float32 rounds to 0 and inf."""
    q, scale = reduced(-700.0 if x < -700.0 else (700.0 if x > 700.0 else x))
    return q * scale + scale


@jit(forceinline=True)
def log32(x):
    """log x to 1e-10 relative: n log 2 + 2 artanh s, s = (m - 1)/(m + 1), x = 2^n m."""
    bits = el.bits_of(x) - 0x3FE6A09E667F3BCD
    n = el.double_of(((bits >> 52) + 1024) | 0x4330000000000000) - (el.TWO52 + 1024.0)
    m = el.double_of((bits & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    p = (2.0 + (2.0 / 3.0) * q) + (
        (2.0 / 5.0 + (2.0 / 7.0) * q) + (2.0 / 9.0 + (2.0 / 11.0) * q) * (q * q)
    ) * (q * q)
    value = -np.inf if x == 0.0 else n * LN2 + s * p
    return value if x < np.inf else x


@jit(forceinline=True)
def expm1_32(x):
    """e^x - 1 to 1e-9, x <= 700; beyond as at 700."""
    q, scale = reduced(-700.0 if x < -700.0 else (700.0 if x > 700.0 else x))
    return q * scale + (scale - 1.0)


@jit(forceinline=True)
def survivor32(t):
    """w = e^-t, 1 - w and log(1 - w) to 1e-9 relative; w = 2^n (q + 1)."""
    q, scale = reduced(-700.0 if t > 700.0 else -t)
    w = q * scale + scale
    near = t < LN2
    rest = (1.0 - scale) - q * scale if near else 1.0 - w
    return w, rest, log32(rest) + (0.0 if near else (1.0 - rest) - w)


@jit(forceinline=True)
def survivor64(t):
    """w = e^-t, 1 - w and log(1 - w) with all their digits."""
    near = t < LN2
    less = el.expm1(-t)
    w = 1.0 + less if near else el.exp(-t)
    rest = -less if near else 1.0 - w
    return w, rest, el.log(rest) + (0.0 if near else ((1.0 - rest) - w) / rest)


def exp(x, z):
    """Return e^x good enough for numbers of the type of z."""


def log(x, z):
    """Return log x good enough for numbers of the type of z."""


def expm1(x, z):
    """Return e^x - 1 good enough for numbers of the type of z."""


def survivor(t, z):
    """Return e^-t, 1 - e^-t and log(1 - e^-t) good enough for numbers of the type of z."""


@overload(exp, inline="always")
def _exp(x, z):
    return (lambda x, z: exp32(x)) if z.dtype == types.float32 else (lambda x, z: el.exp(x))


@overload(log, inline="always")
def _log(x, z):
    return (lambda x, z: log32(x)) if z.dtype == types.float32 else (lambda x, z: el.log(x))


@overload(survivor, inline="always")
def _survivor(t, z):
    return (lambda t, z: survivor32(t)) if z.dtype == types.float32 else (lambda t, z: survivor64(t))


@overload(expm1, inline="always")
def _expm1(x, z):
    return (lambda x, z: expm1_32(x)) if z.dtype == types.float32 else (lambda x, z: el.expm1(x))


@jit(forceinline=True)
def expm1_slope(t, z):
    """d/dt (e^t - 1)/t = sum_k t^k / (k! (k + 2)) = (e^t (t - 1) + 1)/t^2."""
    near = abs(t) < 1.0
    s = t if near else 0.0
    far = 1.0 if near else t
    p = 1.0 / (6402373705728000.0 * 20.0)
    p = p * s + 1.0 / (355687428096000.0 * 19.0)
    p = p * s + 1.0 / (20922789888000.0 * 18.0)
    p = p * s + 1.0 / (1307674368000.0 * 17.0)
    p = p * s + 1.0 / (87178291200.0 * 16.0)
    p = p * s + 1.0 / (6227020800.0 * 15.0)
    p = p * s + 1.0 / (479001600.0 * 14.0)
    p = p * s + 1.0 / (39916800.0 * 13.0)
    p = p * s + 1.0 / (3628800.0 * 12.0)
    p = p * s + 1.0 / (362880.0 * 11.0)
    p = p * s + 1.0 / (40320.0 * 10.0)
    p = p * s + 1.0 / (5040.0 * 9.0)
    p = p * s + 1.0 / (720.0 * 8.0)
    p = p * s + 1.0 / (120.0 * 7.0)
    p = p * s + 1.0 / (24.0 * 6.0)
    p = p * s + 1.0 / (6.0 * 5.0)
    p = p * s + 1.0 / (2.0 * 4.0)
    p = p * s + 1.0 / 3.0
    p = p * s + 0.5
    return p if near else (exp(far, z) * (far - 1.0) + 1.0) / (far * far)
