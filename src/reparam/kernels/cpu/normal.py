# mypy: allow-untyped-defs
"""Standard normals from words, z = Phi^{-1}(u), bit-identical on every CPU.

float32, in lanes, with y = u - 1/2 and p = min(u, 1 - u) (coefficients by scripts/fit_normal32.py):

    p >= 1/64:  z = y (C + P(x)/Q(x)), x = p (1 - p) - R, in float32, y being the sum of two numbers
    p < 1/64: |z| = U(L)/V(L), L = -log p, in float64, rounded once

within 1.76 ulp of the exact map for every one of the 2^32 words (all were tried; the tails within .51), exactly odd
under the complement of the word, and increasing up to that rounding. float64: the operations of `reference.laws.normal`, one for one.
"""

import numpy as np
from numba import types

from reparam.kernels.cpu.floats import bits_of_float64, log
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.lanes import DOUBLE, FLOAT, INT, WIDE, inline, load, store, trailing_zeros
from reparam.kernels.reference import laws

LANES, TAIL_LANES = 32, 16
# the quotients of float32, lowest power first
C, R = 2.84375, 0.015380859375
P = (1.602959028, 123.2686138, 2111.501892, -3041.605413, -122563.1106, -171127.7457)
Q = (1.0, 104.8855345, 3381.2257, 37766.8268, 127189.589, 82716.11231)
U = (
    -1.299436181765235,
    0.81997632805505862,
    1.4130392228591031,
    0.23696069685082481,
    0.0085589819937943118,
    5.3150672707618977e-5,
)
V = (
    1.0,
    1.8603934696701025,
    0.55943538865664377,
    0.039749816381828962,
    0.00062349435773587773,
    1.0199552401954905e-6,
)
ROOT_HALF = 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)
LN2, TWICE_ARTANH = 0.6931471805599453, tuple(2.0 / (2 * k + 1) for k in range(7))
UNIT = 2.0**-32
MIDDLE = np.uint32(1 << 31)
WIDE_SIGN = np.uint64(1 << 63)

TAIL_TOP, TAIL_BOTTOM = np.array(laws.TAIL_TOP), np.array(laws.TAIL_BOTTOM)
TAIL_EDGES, TAIL_Z = np.array(laws.TAIL_EDGES), np.array(laws.TAIL_Z)
TAIL_HIGH, TAIL_LOW = np.array(laws.TAIL_L_HIGH), np.array(laws.TAIL_L_LOW)
CENTRE_SHIFT, CENTRE_EDGE = laws.CENTRE_SHIFT, laws.CENTRE_EDGE
ROOT_2PI_HIGH, ROOT_2PI_LOW = laws.ROOT_2PI_HIGH, laws.ROOT_2PI_LOW
T0, T1, T2, T3, T4, T5, T6, T7, T8 = laws.CENTRE_TOP
D0, D1, D2, D3, D4, D5, D6, D7, D8 = laws.CENTRE_BOTTOM
BLOCK = 1024


@inline(types.uint32, types.uintp, types.uintp)
def centre32(builder, words, values):
    """Write the normals of 32 words, right where p >= 1/64; return the set of lanes where it is less."""
    s = (
        load(builder, words, INT, LANES) + 0x80000080
    )  # 2^32 y + 128: the multiple of 256 that is next, and a rest
    high = (s & 0xFFFFFF00).to(FLOAT) * UNIT
    twice_low = (s & 0xFF).to(FLOAT).fma(2 * UNIT, -127.5 * 2 * UNIT)
    x = twice_low.fma(-high, (-high).fma(high, 0.25 - R))  # 1/4 - y^2 - R
    q = x.polynomial(P) / x.polynomial(Q)
    store(high.fma(C, high.fma(q, twice_low * q.fma(0.5, C / 2))), values)
    return x.signs()


@inline(types.none, types.uintp, types.uintp)
def tail32(builder, words, values):
    """Write the normals of 16 words, right where p < 1/64."""
    s = load(builder, words, INT, TAIL_LANES)
    upper = s.spread()  # the words from 2^31 on lie in the upper tail
    p = ((s ^ upper).to(DOUBLE) + 0.5) * UNIT
    L = -log64(p)
    z = (L.polynomial(U) / L.polynomial(V)).to(FLOAT)
    store(z.as_type(INT) ^ ((upper ^ -1) & 0x80000000), values)


def log64(x):
    """Return log x of lanes of float64 within 1e-11: e log 2 + 2 artanh a, a = (m - 1)/(m + 1), x = 2^e m."""
    bits = x.as_type(WIDE) + ((1024 << 52) - ROOT_HALF)
    e = ((bits >> 52) | (0x433 << 52)).as_type(DOUBLE) - (2.0**52 + 1024)
    m = ((bits & 0xFFFFFFFFFFFFF) + ROOT_HALF).as_type(DOUBLE)
    a = (m - 1.0) / (m + 1.0)
    return e.fma(LN2, a * (a * a).polynomial(TWICE_ARTANH))


@jit(fastmath=False)
def members(far, first, which, n):
    """Append first + i to `which` for every i in a set of 32 (a bit each), n being there; return the new number.

    Three steps without a branch are enough for 98 % of the sets: a loop would be guessed wrong again and again.
    """
    for _ in range(3):
        which[n] = first + trailing_zeros(far)
        n += far != 0
        far &= far - np.uint32(1)
    while far:
        which[n] = first + trailing_zeros(far)
        n += 1
        far &= far - np.uint32(1)
    return n


@jit(fastmath=False)
def block32(words, values, made, far, which):
    """Write the normals of `len(values)` words, of which there is a whole number of vectors; the rest is room."""
    n = 0
    for i in range(0, len(words), LANES):
        n = members(centre32(words.ctypes.data + 4 * i, made.ctypes.data + 4 * i), i, which, n)
    for k in range(n):
        far[k] = words[which[k]]
    for i in range(len(values)):
        values[i] = made[i]
    for k in range(0, n, TAIL_LANES):
        tail32(far.ctypes.data + 4 * k, made.ctypes.data + 4 * k)
    for k in range(n):
        values[which[k]] = made[k]


@jit(fastmath=False)
def map32(values):
    """Replace words (the bits of float32 numbers) by normals, in place: the centre for all, then the 3 % of tails."""
    words, made = values.view(np.uint32), np.empty(BLOCK, np.float32)
    far, which = np.zeros(BLOCK + TAIL_LANES, np.uint32), np.empty(BLOCK + TAIL_LANES, np.uint32)
    whole = len(values) // BLOCK * BLOCK
    for start in range(0, whole, BLOCK):
        stop = start + BLOCK
        block32(words[start:stop], values[start:stop], made, far, which)
    if whole < len(values):
        n = len(values) - whole
        padded = np.full((n + LANES - 1) // LANES * LANES, MIDDLE, np.uint32)
        padded[:n] = words[whole:]
        block32(padded, values[whole:], made, far, which)


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
