# mypy: allow-untyped-defs
"""The base laws as maps of words by Triton; see `reference.laws` for the formulas.

Every map is computed in float64, by +, -, * and / alone, and rounded once: the same bits on every device. The kernels
are launched without fused multiply-add, so products and sums are rounded apart, as in the reference.
"""

import math

import triton
import triton.language as tl

from reparam.kernels.reference import laws as definition

ROOT_HALF = tl.constexpr(math.sqrt(0.5))
LN2_HIGH, LN2_LOW = tl.constexpr(definition.LN2_HIGH), tl.constexpr(definition.LN2_LOW)
ATANH = tl.constexpr(definition.ATANH)
CENTRE_TOP, CENTRE_BOTTOM = tl.constexpr(definition.CENTRE_TOP), tl.constexpr(definition.CENTRE_BOTTOM)
CENTRE_SHIFT, CENTRE_EDGE = tl.constexpr(definition.CENTRE_SHIFT), tl.constexpr(definition.CENTRE_EDGE)
ROOT_2PI_HIGH, ROOT_2PI_LOW = tl.constexpr(definition.ROOT_2PI_HIGH), tl.constexpr(definition.ROOT_2PI_LOW)
TAIL_EDGES, TAIL_Z = tl.constexpr(definition.TAIL_EDGES), tl.constexpr(definition.TAIL_Z)
TAIL_L_HIGH, TAIL_L_LOW = tl.constexpr(definition.TAIL_L_HIGH), tl.constexpr(definition.TAIL_L_LOW)
TAIL_TOP, TAIL_BOTTOM = tl.constexpr(definition.TAIL_TOP), tl.constexpr(definition.TAIL_BOTTOM)
PI_HIGH, PI_LOW = tl.constexpr(math.pi), tl.constexpr(1.2246467991473532e-16)
# tan(pi x) = x (pi + t N(t) / (1 - 4 t)), t = x^2 <= 1/16: N interpolated at Chebyshev nodes, error 5e-17
TAN = tl.constexpr(
    (
        10.33542556009994,
        -0.5390776023622331,
        -0.21054657689466247,
        -0.09005175510836443,
        -0.03951943746126447,
        -0.0174876577405782,
        -0.007760295119445095,
        -0.003448193250333153,
        -0.0015177810669930254,
        -0.0007833123495941794,
    )
)
TWO_M32, TWO_M64 = tl.constexpr(2.0**-32), tl.constexpr(2.0**-64)


@triton.jit
def places32(word):
    """Return y = u - 1/2 and p = min(u, 1 - u) in float64, from a uint32 word."""
    w = word.to(tl.int64)
    s = w - 0x80000000
    m = tl.where(s < 0, w, 0xFFFFFFFF - w)
    return (s.to(tl.float64) + 0.5) * TWO_M32, (m.to(tl.float64) + 0.5) * TWO_M32


@triton.jit
def places64(word):
    """Return y and p from a 64-bit word in an int64."""
    negative = word >= 0  # as unsigned: below 2^63
    s = word ^ (-0x7FFFFFFFFFFFFFFF - 1)
    away = (tl.where(negative, ~s, s).to(tl.float64) + 0.5) * TWO_M64
    p = (tl.where(negative, word, ~word).to(tl.float64) + 0.5) * TWO_M64
    return tl.where(negative, -away, away), p


@triton.jit
def polynomial(x, C: tl.constexpr, N: tl.constexpr):
    """Return sum_k C[k] x^k, k < N, by Horner's rule."""
    value = tl.zeros_like(x) + C[N - 1]
    for k in tl.static_range(1, N):
        value = value * x + C[N - 1 - k]
    return value


@triton.jit
def log(x):
    """Return log x for normal positive float64: the operations of `reference.laws.log`, one for one."""
    bits = x.to(tl.int64, bitcast=True)
    e = ((bits >> 52) - 1022).to(tl.float64)
    m = ((bits & 0xFFFFFFFFFFFFF) | 0x3FE0000000000000).to(tl.float64, bitcast=True)
    small = m < ROOT_HALF
    m, e = tl.where(small, m * 2, m), tl.where(small, e - 1, e)
    a = (m - 1) / (m + 1)
    s = a * a
    return e * LN2_HIGH + (a * 2 + (a * s * polynomial(s, ATANH, 12) + e * LN2_LOW))


@triton.jit
def log1p(x):
    """Return log(1 + x) for x > -1: log t and the part of x that t = 1 + x lost, divided by t."""
    t = 1.0 + x
    return log(t) + (x - (t - 1.0)) / t


@triton.jit
def log_lower(y, p):
    """Return log u: log p below the middle, log(1 - p) above."""
    t = tl.where(y < 0, p, 1.0 - p)
    lost = tl.where(y < 0, tl.zeros_like(p), (-p - (t - 1.0)) / t)
    return log(t) + lost


@triton.jit
def signed(size, y):
    """Return the size with the sign of y."""
    return tl.where(y < 0, -size, size)


@triton.jit
def pick(piece, row: tl.constexpr):
    """Return row[piece] in float64, six pieces."""
    value = tl.zeros_like(piece).to(tl.float64) + row[5]
    for k in tl.static_range(5):
        value = tl.where(piece == k, row[k], value)
    return value


@triton.jit
def normal_tail(p):
    """Return |z| from p = min(u, 1 - u)."""
    L = -log(p)
    piece = tl.zeros_like(p).to(tl.int32)
    for k in tl.static_range(5):
        piece += (TAIL_EDGES[k] < L).to(tl.int32)
    d = (L - pick(piece, TAIL_L_HIGH)) - pick(piece, TAIL_L_LOW)
    top, bottom = pick(piece, TAIL_TOP[6]), pick(piece, TAIL_BOTTOM[6])
    for k in tl.static_range(6):
        top, bottom = top * d + pick(piece, TAIL_TOP[5 - k]), bottom * d + pick(piece, TAIL_BOTTOM[5 - k])
    return pick(piece, TAIL_Z) + d * (top / bottom)


@triton.jit
def normal(y, p):
    """Return Phi^{-1}(u)."""
    t = y * y
    x = t - CENTRE_SHIFT
    curve = t * (polynomial(x, CENTRE_TOP, 9) / polynomial(x, CENTRE_BOTTOM, 9))
    centre = y * ROOT_2PI_HIGH + y * (curve + ROOT_2PI_LOW)
    return tl.where(tl.abs(y) <= CENTRE_EDGE, centre, signed(normal_tail(p), y))


@triton.jit
def cauchy(y, p):
    """Return tan(pi y), by its reciprocal beyond |y| = 1/4."""
    near = tl.abs(y) < 0.25
    x = tl.where(near, tl.abs(y), p)
    t = x * x
    tan = x * PI_HIGH + x * (t * polynomial(t, TAN, 10) / (1.0 - 4.0 * t) + PI_LOW)
    return signed(tl.where(near, tan, 1.0 / tan), y)


@triton.jit
def laplace(y, p):
    """Return -sign(y) log(2 p)."""
    size = tl.abs(y)
    return signed(tl.where(size < 0.25, -log1p(-2 * size), -log(2 * p)), y)


@triton.jit
def mapped(y, p, LAW: tl.constexpr):
    """Return the number of a law in float64."""
    if LAW == "normal":
        return normal(y, p)
    elif LAW == "exponential":
        return -log_lower(-y, p)
    elif LAW == "gumbel":
        return -log(-log_lower(y, p))
    elif LAW == "logistic":
        return signed(log1p(2 * tl.abs(y) / p), y)
    elif LAW == "laplace":
        return laplace(y, p)
    elif LAW == "cauchy":
        return cauchy(y, p)
    else:
        tl.static_assert(LAW == "rademacher")
        return signed(tl.zeros_like(y) + 1.0, y)
