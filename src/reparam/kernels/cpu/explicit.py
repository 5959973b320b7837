# mypy: allow-untyped-defs
"""Draws of families with one formula in exponential noise, in the pass that draws it, and their derivatives in another.

    EXPONENTIAL (rate)       z = eps/rate                   dz/drate = -z/rate
    WEIBULL (scale, c)       z = scale e^(l/c)              dz/dscale = z/scale      dz/dc = -z l/c^2
                             l = log eps
    KUMARASWAMY (a, b)       z = e^(l/a)                    dz/da = -z l/a^2         dz/db = -z t w/((1 - w) a b)
                             t = eps/b,  w = e^-t,  l = log(1 - w)

In double, rounded once (the first one in its own type). Arrays hold one number for each draw, or one for all.
"""

import numpy as np
from numba import types
from numba.extending import overload
from torch import Tensor

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.fill import CODES, PIECE, next_piece, one_row
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.threads import together

EXPONENTIAL, WEIBULL, KUMARASWAMY = range(3)
LN2 = 0.6931471805599453
LEAST = 1e-300


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


@jit
def forward(kind, p, q, eps, z):
    """Fill z."""
    if kind == EXPONENTIAL:
        for i in range(len(z)):
            z[i] = eps[i] / p[i]
    elif kind == WEIBULL:
        for i in range(len(z)):
            z[i] = np.float64(p[i]) * exp(log(np.float64(eps[i]), z) / np.float64(q[i]), z)
    else:
        for i in range(len(z)):
            _, _, l = survivor(np.float64(eps[i]) / np.float64(q[i]), z)
            z[i] = exp(l / np.float64(p[i]), z)


@jit
def backward(kind, p, q, eps, z, g, dp, dq):
    """Fill dp = g dz/dp and dq = g dz/dq."""
    if kind == EXPONENTIAL:
        for i in range(len(z)):
            dp[i] = -g[i] * (z[i] / p[i])
    elif kind == WEIBULL:
        for i in range(len(z)):
            slope, c = np.float64(g[i]) * np.float64(z[i]), 1.0 / np.float64(q[i])
            e = np.float64(eps[i])
            dp[i] = slope / np.float64(p[i])
            dq[i] = -slope * (log(LEAST if e < LEAST else e, z) * c * c)  # z = 0 there
    else:
        for i in range(len(z)):
            a, b = 1.0 / np.float64(p[i]), 1.0 / np.float64(q[i])
            e = np.float64(eps[i])
            t = (LEAST if e < LEAST else e) * b
            w, rest, l = survivor(t, z)
            slope = -np.float64(g[i]) * np.float64(z[i]) * a
            dp[i] = slope * (l * a)
            dq[i] = slope * (t * w / rest * b)


@jit
def whole(values, size):
    """Return the array itself, or `size` times its only number."""
    return values if len(values) > 1 else np.full(size, values[0])


@jit
def part(values, n, first, last):
    """Return the numbers first .. last - 1 of n; of a shorter array, which repeats one number, as many."""
    return values[first:last] if len(values) == n else values[: last - first]


@jit
def share_draw(law, key, step, kind, p, q, eps, z, taken):
    """Fill z, and eps, unless it is empty, with the noise, which is given where the law is 0; a piece at a time."""
    n, size = len(z), min(len(z), PIECE)
    P, Q = whole(p, size), whole(q, size)
    scratch = np.empty(0 if len(eps) else size, z.dtype)
    while True:
        first = PIECE * next_piece(taken, (n + PIECE - 1) // PIECE)
        if first < 0:
            break
        last = min(first + PIECE, n)
        noise = eps[first:last] if len(eps) else scratch[: last - first]
        if law > 0:
            one_row(law, key, step, 0, first, noise)
        forward(kind, part(P, n, first, last), part(Q, n, first, last), noise, z[first:last])


@jit
def share_slopes(kind, p, q, eps, z, g, dp, dq, taken):
    """Fill dp and dq a piece at a time."""
    n, size = len(z), min(len(z), PIECE)
    P, Q, G = whole(p, size), whole(q, size), whole(g, size)
    while True:
        first = PIECE * next_piece(taken, (n + PIECE - 1) // PIECE)
        if first < 0:
            break
        last = min(first + PIECE, n)
        given = part(P, n, first, last), part(Q, n, first, last)
        kept = eps[first:last], z[first:last], part(G, n, first, last)
        backward(kind, *given, *kept, dp[first:last], dq[first:last])


def draw(
    kind: int, law: str | None, key: int, step: int, parameters: list[Tensor], eps: Tensor, z: Tensor
) -> None:
    """Fill z from eps; where a law is named, from its noise at an address without rows, which fills eps if not empty.

    All are contiguous and of one dtype.
    """
    p, q, noise, out = _flat(parameters[0], parameters[-1], eps, z)
    together(share_draw, CODES[law] if law else 0, key, step, kind, p, q, noise, out, size=len(out))


def slopes(kind: int, parameters: list[Tensor], eps: Tensor, z: Tensor, g: Tensor, out: list[Tensor]) -> None:
    """Fill the gradients of the parameters, of the size of z, from that of z."""
    together(
        share_slopes, kind, *_flat(parameters[0], parameters[-1], eps, z, g, out[0], out[-1]), size=z.numel()
    )


def _flat(*tensors: Tensor) -> list[np.ndarray]:
    return [t.detach().view(-1).numpy() for t in tensors]
