# mypy: allow-untyped-defs
"""Standard normals from words, z = Phi^{-1}(u), bit-identical on every CPU.

float32, straight-line so that it becomes vector code (coefficients by scripts/fit_normal32.py):

    w = -log(4 p (1 - p)), y = u - 1/2
    w <= 5:   z = 4 y + y A(w)          w > 5:  as float64, rounded once

within 2.05 ulp of the exact map for every one of the 2^32 words, exactly odd under the complement of the word, and
increasing up to that rounding. float64: the operations of `reference.laws.normal`, one for one.
"""

import numpy as np

from reparam.kernels.cpu.floats import bits_of_float32, bits_of_float64, float32_of, fma, log
from reparam.kernels.cpu.jit import jit
from reparam.kernels.reference import laws

f = np.float32
A0, A1, A2, A3, A4, A5, A6, A7, A8, A9 = (
    f(c)
    for c in (
        -1.4933717289,
        0.6562338785,
        0.03266597188,
        -0.006605142694,
        -0.0003579076815,
        0.000124588833,
        1.173984848e-5,
        -5.68024913e-6,
        6.344283706e-7,
        -2.526330169e-8,
    )
)
C0, C1, C2, C3, C4, C5, C6, C7 = (
    f(c)
    for c in (
        -0.4999999713,
        0.3333367061,
        -0.2500114768,
        0.1997204971,
        -0.1658848853,
        0.1483478684,
        -0.1415964701,
        0.08787265491,
    )
)
LN2, HALF, ONE, FOUR = f(0.6931471805599453), f(0.5), f(1), f(4)
UNIT = f(2.0**-32)
TAIL_BELOW = np.uint32(7249000)  # p < 0.0016878: w > 5
STRIP = 64
SIGN, UPPER, LOWER = np.uint32(0x80000000), np.uint32(0x7FFFFF00), np.uint32(0xFF)
WIDE_SIGN = np.uint64(1 << 63)

TOP, BOTTOM = np.array(laws.CENTRE_TOP), np.array(laws.CENTRE_BOTTOM)
TAIL_TOP, TAIL_BOTTOM = np.array(laws.TAIL_TOP), np.array(laws.TAIL_BOTTOM)
TAIL_EDGES, TAIL_Z = np.array(laws.TAIL_EDGES), np.array(laws.TAIL_Z)
TAIL_HIGH, TAIL_LOW = np.array(laws.TAIL_L_HIGH), np.array(laws.TAIL_L_LOW)
CENTRE_SHIFT, CENTRE_EDGE = laws.CENTRE_SHIFT, laws.CENTRE_EDGE
ROOT_2PI_HIGH, ROOT_2PI_LOW = laws.ROOT_2PI_HIGH, laws.ROOT_2PI_LOW
T0, T1, T2, T3, T4, T5, T6, T7, T8 = laws.CENTRE_TOP
D0, D1, D2, D3, D4, D5, D6, D7, D8 = laws.CENTRE_BOTTOM
BLOCK = 512


@jit(fastmath=False, forceinline=True)
def minus_log32(q):
    """Return -log q for 2^-32 < q <= 1 in float32; log(1 + x) = x + x^2 C(x)."""
    bits = np.uint32(bits_of_float32(q) + np.uint32(0x3F800000 - 0x3F3504F3))
    e = f(np.int32(np.int32(np.uint32(bits >> np.uint32(23))) - np.int32(127)))
    x = float32_of(np.uint32(np.uint32(bits & np.uint32(0x7FFFFF)) + np.uint32(0x3F3504F3))) - ONE
    s = x * x
    c = fma(s, fma(x, C3, C2), fma(x, C1, C0))
    c = fma(s * s, fma(s, fma(x, C7, C6), fma(x, C5, C4)), c)
    return -fma(e, LN2, fma(s, c, x))


@jit(fastmath=False, forceinline=True)
def centre32(word):
    """Return z of a 32-bit word in float32, where w <= 5."""
    negative = word < SIGN
    away = np.uint32(~word ^ SIGN if negative else word ^ SIGN)  # |y| = (away + 1/2) 2^-32 = high + low
    edge = np.int32(word if negative else ~word)  # p = (edge + 1/2) 2^-32
    high = f(np.int32(away & UPPER)) * UNIT
    low = (f(np.int32(away & LOWER)) + HALF) * UNIT
    p = (f(edge) + HALF) * UNIT
    w = minus_log32(fma(-FOUR * p, p, FOUR * p))
    s = w * w
    a = fma(s, fma(s, fma(w, A9, A8), fma(w, A7, A6)), fma(w, A5, A4))
    a = fma(w, fma(s, fma(w, a, A3), fma(w, A2, A1)), A0)
    z = fma(FOUR, high, fma(high, a, fma(low, a, FOUR * low)))
    return -z if negative else z


@jit(fastmath=False)
def centre64(y):
    """Return z for |y| <= CENTRE_EDGE in float64."""
    t = y * y
    x = t - CENTRE_SHIFT
    top = T0 + x * (T1 + x * (T2 + x * (T3 + x * (T4 + x * (T5 + x * (T6 + x * (T7 + x * T8)))))))
    bottom = D0 + x * (D1 + x * (D2 + x * (D3 + x * (D4 + x * (D5 + x * (D6 + x * (D7 + x * D8)))))))
    return y * ROOT_2PI_HIGH + y * (t * (top / bottom) + ROOT_2PI_LOW)


@jit(fastmath=False)
def tail64(p):
    """Return |z| from p = min(u, 1 - u) in float64."""
    L = -log(p)
    piece: int = 0
    for edge in TAIL_EDGES:
        piece += int(edge < L)
    d = (L - TAIL_HIGH[piece]) - TAIL_LOW[piece]
    top, bottom = TAIL_TOP[-1, piece], TAIL_BOTTOM[-1, piece]
    for k in range(len(TAIL_TOP) - 2, -1, -1):
        top, bottom = top * d + TAIL_TOP[k, piece], bottom * d + TAIL_BOTTOM[k, piece]
    return TAIL_Z[piece] + d * (top / bottom)


@jit(fastmath=False)
def map32(values):
    """Replace words (the bits of float32 numbers) by normals, in place: the centre for all, then the 0.3 % of tails."""
    which, tails = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.uint32)
    for start in range(0, len(values), BLOCK):
        part = values[start : start + BLOCK]
        n = 0
        for strip in range(0, len(part), STRIP):
            stop = min(strip + STRIP, len(part))
            least = SIGN
            for i in range(strip, stop):
                word = bits_of_float32(part[i])
                edge = np.uint32(word if word < SIGN else ~word)
                least = min(least, edge)
            if least < TAIL_BELOW:
                for i in range(strip, stop):
                    word = bits_of_float32(part[i])
                    which[n], tails[n] = i, word
                    n += int(np.uint32(word if word < SIGN else ~word) < TAIL_BELOW)
        for i in range(len(part)):
            part[i] = centre32(bits_of_float32(part[i]))
        for k in range(n):
            word = tails[k]
            z = f(tail64((np.float64(np.uint32(word if word < SIGN else ~word)) + 0.5) * 2.0**-32))
            part[which[k]] = -z if word < SIGN else z


@jit(fastmath=False)
def map64(values):
    """Replace 64-bit words (the bits of float64 numbers) by normals, in place: the centre for all, then tails."""
    places, tails, which = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK, np.int64)
    for start in range(0, len(values), BLOCK):
        part = values[start : start + BLOCK]
        n = 0
        for i in range(len(part)):
            word = bits_of_float64(part[i])
            negative = word < WIDE_SIGN
            away = np.int64(~word ^ WIDE_SIGN if negative else word ^ WIDE_SIGN)
            y = (np.float64(away) + 0.5) * 2.0**-64
            places[i] = -y if negative else y
            tails[n] = (np.float64(np.int64(word if negative else ~word)) + 0.5) * 2.0**-64
            which[n] = i
            n += int(y > CENTRE_EDGE)
        for i in range(len(part)):
            part[i] = centre64(places[i])
        for k in range(n):
            z = tail64(tails[k])
            part[which[k]] = -z if places[which[k]] < 0 else z
