# mypy: allow-untyped-defs
"""Draws of families with one formula in one number of noise, in the pass that draws it; derivatives in another.

of exponential noise eps

    EXPONENTIAL (rate)         z = eps/rate                 dz/drate = -z/rate
    WEIBULL (scale, c)         z = scale e^(l/c)            dz/dscale = z/scale      dz/dc = -z l/c^2
                               l = log eps
    KUMARASWAMY (a, b)         z = e^(l/a)                  dz/da = -z l/a^2         dz/db = -z t w/((1 - w) a b)
                               t = eps/b,  w = e^-t,  l = log(1 - w)
    PARETO (loc, scale, c)     z = loc + scale y            dz/dscale = y            dz/dc = scale eps^2 E'(c eps)
                               y = eps E(c eps),  E(t) = (e^t - 1)/t, not beyond loc - scale/c where c < 0

of uniform noise u

    INTERVAL (l)               z = log(1 + u (e^l - 1))/l   dz/dl: see `interval_slope`

In double, rounded once (the first one in its own type). Arrays hold one number for each draw, or one for all. Vector
code and the code for what a loop leaves over may differ in the last bit, so that loops run over whole blocks of LANES
numbers: a draw does not depend on what it is drawn with.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from reparam.kernels.cpu.digits import exp, expm1, expm1_slope, log, survivor
from reparam.kernels.cpu.fill import CODES, PIECE, next_piece, one_row
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.threads import together

EXPONENTIAL, WEIBULL, KUMARASWAMY, PARETO, INTERVAL = range(5)
LEAST = 1e-300
TINY = 1e-20  # a logit next to which 0 cannot be told from it
LANES = 64  # a multiple of the numbers that any CPU takes at once
LARGE = 700.0


@jit(forceinline=True)
def interval(l, u, z):
    """r = |l| and the distances d, e = 1 - d of the draw from the ends where its density is larger and smaller.

    With p the probability on the side of the first end and q = 1 - p,

        e = log(1 + q (e^r - 1))/r,   d = -log(1 - p (1 - e^-r))/r = -log(q + p e^-r)/r,

    e where it is below 1/2, which is where q (1 + h) < h, h = e^(-r/2); of the forms of d the one whose logarithm has
    no argument near 0 or 1. All are one logarithm of a number y and the part of it that y = 1 + x has lost.
    """
    r = max(abs(l), TINY)
    p, q = (1.0 - u, u) if l > 0.0 else (u, 1.0 - u)
    h, less = exp(-0.5 * r, z), expm1(-r, z)
    w = h * h
    near = q * (1.0 + h) < h and r < LARGE
    deep = not near and r > 1.0 and p > 0.5
    x = -q * less / (w if near else 1.0) if near else p * less
    y = q + p * w if deep else 1.0 + x
    lost = 0.0 if deep else (x - (y - 1.0)) / y
    length = (log(y, z) + lost) / r
    e = length if near else 1.0 + length
    return r, (1.0 - length if near else -length), e


@jit(forceinline=True)
def interval_slope(r, d, e, z):
    """dz/dl at fixed u. With g(t) = (1 - e^-t)/t and the divided difference g[a, b] = int_a^b g'/(b - a),

        dz/dl = e (g(r e)/g(r) - 1)/r = d (1 - e^(-r e) g(r d)/g(r))/r = -e d g[r e, r]/g(r):

    the first where e < d, the second elsewhere, the third for r < 1,

        -g[r e, r] = sum_k (-r)^k (1 + ... + e^k)/(k + 2)!
    """
    small = r < 1.0
    mass = -expm1(-r, z)  # r g(r)
    x = r * (e if e < d else d)
    part = -expm1(-x, z) / mass  # e g(r e)/g(r), or d g(r d)/g(r)
    first = (part - e) / r
    second = (d - exp(-r * e, z) * part) / r
    term, sum_of_powers, total = 1.0, 1.0, 0.5
    power = e
    for k in range(1, 19):
        sum_of_powers += power
        power *= e
        term *= -r * (1.0 / (k + 2))
        total += 0.5 * term * sum_of_powers
    return e * d * total * r / mass if small else (first if e < d else second)


@jit
def forward(kind, p, q, s, eps, z):
    """Fill z."""
    if kind == EXPONENTIAL:
        for i in range(len(z)):
            z[i] = eps[i] / p[i]
    elif kind == WEIBULL:
        for i in range(len(z)):
            z[i] = np.float64(p[i]) * exp(log(np.float64(eps[i]), z) / np.float64(q[i]), z)
    elif kind == KUMARASWAMY:
        for i in range(len(z)):
            _, _, l = survivor(np.float64(eps[i]) / np.float64(q[i]), z)
            z[i] = exp(l / np.float64(p[i]), z)
    elif kind == PARETO:
        for i in range(len(z)):
            z[i] = np.float64(p[i]) + np.float64(q[i]) * excess(np.float64(s[i]), np.float64(eps[i]), z)
        for i in range(len(z)):
            end = p[i] - q[i] / s[i]
            z[i] = end if s[i] < 0 and z[i] > end else z[i]
    else:
        for i in range(len(z)):
            l = np.float64(p[i])
            _, d, e = interval(l, np.float64(eps[i]), z)
            z[i] = e if l > 0.0 else d


@jit(forceinline=True)
def excess(c, eps, z):
    """y = (e^(c eps) - 1)/c."""
    t = c * eps
    return eps if abs(t) < TINY else expm1(t, z) / c


@jit
def backward(kind, p, q, s, eps, z, g, dp, dq, ds):
    """Fill dp = g dz/dp, dq = g dz/dq and ds = g dz/ds, of which a kind of fewer parameters writes the first ones."""
    if kind == EXPONENTIAL:
        for i in range(len(z)):
            dp[i] = -g[i] * (z[i] / p[i])
    elif kind == WEIBULL:
        for i in range(len(z)):
            slope, c = np.float64(g[i]) * np.float64(z[i]), 1.0 / np.float64(q[i])
            e = np.float64(eps[i])
            dp[i] = slope / np.float64(p[i])
            dq[i] = -slope * (log(LEAST if e < LEAST else e, z) * c * c)  # z = 0 there
    elif kind == KUMARASWAMY:
        for i in range(len(z)):
            a, b = 1.0 / np.float64(p[i]), 1.0 / np.float64(q[i])
            e = np.float64(eps[i])
            t = (LEAST if e < LEAST else e) * b
            w, rest, l = survivor(t, z)
            slope = -np.float64(g[i]) * np.float64(z[i]) * a
            dp[i] = slope * (l * a)
            dq[i] = slope * (t * w / rest * b)
    elif kind == PARETO:
        for i in range(len(z)):
            c, e = np.float64(s[i]), np.float64(eps[i])
            slope = np.float64(g[i])
            dp[i] = slope
            dq[i] = slope * excess(c, e, z)
            ds[i] = slope * (np.float64(q[i]) * (e * e * expm1_slope(c * e, z)))
    else:
        for i in range(len(z)):
            r, d, e = interval(np.float64(p[i]), np.float64(eps[i]), z)
            dp[i] = np.float64(g[i]) * interval_slope(r, d, e, z)


@jit
def ending(values, first):
    """Return a block of LANES numbers: those from `first` on, and the last one again."""
    out = np.empty(LANES, values.dtype)
    for i in range(LANES):
        out[i] = values[min(first + i, len(values) - 1)]
    return out


@jit
def forward_blocks(kind, p, q, s, eps, z):
    """`forward` in whole blocks."""
    n = len(z) // LANES * LANES
    if n > 0:
        forward(kind, p[:n], q[:n], s[:n], eps[:n], z[:n])
    if n < len(z):
        out = np.empty(LANES, z.dtype)
        forward(kind, ending(p, n), ending(q, n), ending(s, n), ending(eps, n), out)
        z[n:] = out[: len(z) - n]


@jit
def backward_blocks(kind, p, q, s, eps, z, g, dp, dq, ds):
    """`backward` in whole blocks."""
    n = len(z) // LANES * LANES
    if n > 0:
        backward(kind, p[:n], q[:n], s[:n], eps[:n], z[:n], g[:n], dp[:n], dq[:n], ds[:n])
    if n < len(z):
        m = len(z) - n
        P, Q, S = np.empty(LANES, z.dtype), np.empty(LANES, z.dtype), np.empty(LANES, z.dtype)
        given = ending(p, n), ending(q, n), ending(s, n), ending(eps, n), ending(z, n), ending(g, n)
        backward(kind, *given, P, Q, S)
        parameters = (1, 2, 2, 3, 1)[kind]
        dp[n:] = P[:m]
        if parameters > 1:
            dq[n:] = Q[:m]
        if parameters > 2:
            ds[n:] = S[:m]


@jit
def whole(values, size):
    """Return the array itself, or `size` times its only number."""
    return values if len(values) > 1 else np.full(size, values[0])


@jit
def part(values, n, first, last):
    """Return the numbers first .. last - 1 of n; of a shorter array, which repeats one number, as many."""
    return values[first:last] if len(values) == n else values[: last - first]


@jit
def share_draw(law, key, step, kind, p, q, s, eps, z, taken):
    """Fill z, and eps, unless it is empty, with the noise, which is given where the law is 0; a piece at a time."""
    n, size = len(z), min(len(z), PIECE)
    P, Q, S = whole(p, size), whole(q, size), whole(s, size)
    scratch = np.empty(0 if len(eps) else size, z.dtype)
    while True:
        first = PIECE * next_piece(taken, (n + PIECE - 1) // PIECE)
        if first < 0:
            break
        last = min(first + PIECE, n)
        noise = eps[first:last] if len(eps) else scratch[: last - first]
        if law > 0:
            one_row(law, key, step, 0, first, noise)
        given = part(P, n, first, last), part(Q, n, first, last), part(S, n, first, last)
        forward_blocks(kind, *given, noise, z[first:last])


@jit
def share_slopes(kind, p, q, s, eps, z, g, dp, dq, ds, taken):
    """Fill dp, dq and ds a piece at a time."""
    n, size = len(z), min(len(z), PIECE)
    P, Q, S, G = whole(p, size), whole(q, size), whole(s, size), whole(g, size)
    while True:
        first = PIECE * next_piece(taken, (n + PIECE - 1) // PIECE)
        if first < 0:
            break
        last = min(first + PIECE, n)
        given = part(P, n, first, last), part(Q, n, first, last), part(S, n, first, last)
        kept = eps[first:last], z[first:last], part(G, n, first, last)
        backward_blocks(kind, *given, *kept, dp[first:last], dq[first:last], ds[first:last])


def draw(
    kind: int, law: str | None, key: int, step: int, parameters: list[Tensor], eps: Tensor, z: Tensor
) -> None:
    """Fill z from eps; where a law is named, from its noise at an address without rows, which fills eps if not empty.

    All are contiguous and of one dtype.
    """
    noise, out = _flat([eps, z])
    given = _three(_flat(parameters))
    together(share_draw, CODES[law] if law else 0, key, step, kind, *given, noise, out, size=len(out))


def slopes(kind: int, parameters: list[Tensor], eps: Tensor, z: Tensor, g: Tensor, out: list[Tensor]) -> None:
    """Fill the gradients of the parameters, of the size of z, from that of z."""
    given, filled = _three(_flat(parameters)), _three(_flat(out))
    together(share_slopes, kind, *given, *_flat([eps, z, g]), *filled, size=z.numel())


def _flat(tensors: list[Tensor]) -> list[np.ndarray]:
    return [t.detach().view(-1).numpy() for t in tensors]


def _three(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return (arrays + [arrays[-1]] * 2)[:3]
