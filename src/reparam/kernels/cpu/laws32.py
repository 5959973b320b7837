# mypy: allow-untyped-defs
"""The other base laws in float32, in lanes: a word gives u = (w + 1/2) 2^-32 exactly in float64, and then

    exponential  -log(1 - u)             gumbel  -log(-log u)            laplace  -sign(y) log(2 p)
    logistic     log(u/(1 - u))          cauchy  tan(pi y)               with y = u - 1/2, p = min(u, 1 - u)

Every argument of a logarithm is exact, and near 1 so is its difference from 1: the numbers are right to .51 ulp of
float32, those next to the zero of the Gumbel law to 2e-16. The same bits on every CPU.
"""

import numpy as np
from numba import types

from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.lanes import DOUBLE, FLOAT, INT, WIDE, Lanes, inline, load, store

LANES = 16
EXPONENTIAL, GUMBEL, LAPLACE, LOGISTIC, CAUCHY = range(5)
UNIT = 2.0**-32
ROOT_HALF = 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)
LN2 = 0.6931471805599453
ARTANH = tuple(2.0 / (2 * k + 1) for k in range(13))
SHORT, LONG, RATIO = ARTANH[:6], ARTANH[:11], ARTANH[:10]  # 3e-10 and 3e-17 at a^2 = .0295; 6e-10 at .112
SIGN = 0x80000000
PI = 3.141592653589793
# tan x = x TOP(x^2)/BOTTOM(x^2), Pade's approximant, 2e-13 for |x| <= pi/4
TOP, BOTTOM = (135135.0, -17325.0, 378.0, -1.0), (135135.0, -62370.0, 3150.0, -28.0)


def split(x):
    """Return e and m with x = 2^e m, sqrt(1/2) <= m < sqrt(2), of positive lanes."""
    bits = x.as_type(WIDE) + ((1024 << 52) - ROOT_HALF)
    e = ((bits >> 52) | (0x433 << 52)).as_type(DOUBLE) - (2.0**52 + 1024)
    return e, ((bits & 0xFFFFFFFFFFFFF) + ROOT_HALF).as_type(DOUBLE)


def log(x, series):
    """Return log x = e log 2 + 2 artanh a, a = (m - 1)/(m + 1)."""
    e, m = split(x)
    a = (m - 1.0) / (m + 1.0)
    return e.fma(LN2, a * (a * a).polynomial(series))


def number(words):
    """Return w + 1/2 of unsigned words."""
    return (words ^ SIGN).to(DOUBLE) + (2.0**31 + 0.5)


def signed(size, negative):
    """Return float64 lanes as float32 with the sign bit taken from integer lanes."""
    return (size.to(FLOAT).as_type(INT) ^ (negative & SIGN)).as_type(FLOAT)


def exponential_of(w):
    """Return -log(1 - u)."""
    return -log(number(w ^ 0xFFFFFFFF) * UNIT, SHORT).to(FLOAT)


def gumbel_of(w):
    """Return -log(-log u)."""
    return -log(-log(number(w) * UNIT, LONG), SHORT).to(FLOAT)


def laplace_of(w):
    """Return -sign(y) log(2 p): below the middle 2 u, above it 2 (1 - u)."""
    upper = w.spread()
    return signed(-log(number(w ^ upper) * (2 * UNIT), SHORT), upper ^ -1)


def logistic_of(w):
    """Return log(u/(1 - u)) = (e - e') log 2 + 2 artanh((m - m')/(m + m')) with u = 2^e m, 1 - u = 2^e' m'."""
    e, m = split(number(w))
    other, rest = split(number(w ^ 0xFFFFFFFF))
    a = (m - rest) / (m + rest)
    return (e - other).fma(LN2, a * (a * a).polynomial(RATIO)).to(FLOAT)


def cauchy_of(w):
    """Return tan(pi y) = sign(y) tan x where |y| < 1/4, x = pi |y|, and sign(y)/tan x beyond, x = pi p."""
    upper = w.spread()
    p = w ^ upper
    away = p ^ 0x7FFFFFFF  # |y| = (away + 1/2) 2^-32
    near = (away - (1 << 30)).spread()
    x = (((away & near) | (p & (near ^ -1))).to(DOUBLE) + 0.5) * (PI * UNIT)
    t = x * x
    sine, cosine = x * t.polynomial(TOP), t.polynomial(BOTTOM)
    top, bottom = chosen(near, sine, cosine), chosen(near, cosine, sine)
    return signed(top / bottom, upper ^ -1)


def chosen(mask, one, other):
    """Return `one` where an integer mask is -1, `other` where it is 0."""
    b = one.builder
    return Lanes(b, b.select(b.icmp_signed("<", mask.value, mask._all(0)), one.value, other.value))


@inline(types.none, types.uintp)
def exponential_lanes(builder, address):
    store(exponential_of(load(builder, address, INT, LANES)), address)


@inline(types.none, types.uintp)
def gumbel_lanes(builder, address):
    store(gumbel_of(load(builder, address, INT, LANES)), address)


@inline(types.none, types.uintp)
def laplace_lanes(builder, address):
    store(laplace_of(load(builder, address, INT, LANES)), address)


@inline(types.none, types.uintp)
def logistic_lanes(builder, address):
    store(logistic_of(load(builder, address, INT, LANES)), address)


@inline(types.none, types.uintp)
def cauchy_lanes(builder, address):
    store(cauchy_of(load(builder, address, INT, LANES)), address)


@jit(fastmath=False, forceinline=True)
def some(law, address):
    if law == EXPONENTIAL:
        exponential_lanes(address)
    elif law == GUMBEL:
        gumbel_lanes(address)
    elif law == LAPLACE:
        laplace_lanes(address)
    elif law == LOGISTIC:
        logistic_lanes(address)
    else:
        cauchy_lanes(address)


@jit(fastmath=False)
def fill(law, values):
    """Replace words (the bits of float32 numbers) by numbers of a law, in place."""
    whole = len(values) // LANES * LANES
    for i in range(0, whole, LANES):
        some(law, values.ctypes.data + 4 * i)
    if whole < len(values):
        rest = np.zeros(LANES, np.float32)
        rest[: len(values) - whole] = values[whole:]
        some(law, rest.ctypes.data)
        values[whole:] = rest[: len(values) - whole]


@jit(fastmath=False)
def exponential(values):
    fill(EXPONENTIAL, values)


@jit(fastmath=False)
def gumbel(values):
    fill(GUMBEL, values)


@jit(fastmath=False)
def laplace(values):
    fill(LAPLACE, values)


@jit(fastmath=False)
def logistic(values):
    fill(LOGISTIC, values)


@jit(fastmath=False)
def cauchy(values):
    fill(CAUCHY, values)
