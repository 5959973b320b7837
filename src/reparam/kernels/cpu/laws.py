# mypy: allow-untyped-defs
"""The other base laws as in-place maps of words; see `reference.laws` for the formulas.

A kernel `law` takes the array that holds the words as the bits of its numbers, float32 (one word each) or
float64 (two words each), and replaces them. Logarithms are computed in float64 for both, rounded once.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from reparam.kernels.cpu.floats import bits_of_float32, bits_of_float64, log, log1p
from reparam.kernels.cpu.jit import jit

SIGN32, SIGN64 = np.uint32(1 << 31), np.uint64(1 << 63)


@jit(fastmath=False)
def places32(number):
    """Return y = u - 1/2 and p = min(u, 1 - u) in float64, from a 32-bit word read as float32."""
    word = bits_of_float32(number)
    negative = word < SIGN32
    y = (np.float64(np.int32(word ^ SIGN32)) + 0.5) * 2.0**-32
    return y, (np.float64(np.int32(word if negative else ~word)) + 0.5) * 2.0**-32


@jit(fastmath=False)
def places64(number):
    """Return y and p from a 64-bit word read as float64."""
    word = bits_of_float64(number)
    negative = word < SIGN64
    away = (np.float64(np.int64(~word ^ SIGN64 if negative else word ^ SIGN64)) + 0.5) * 2.0**-64
    p = (np.float64(np.int64(word if negative else ~word)) + 0.5) * 2.0**-64
    return (-away if negative else away), p


def places(number):
    """Return y and p of a number that holds a word: the reading of `reference.laws.places`."""


@overload(places, inline="always")
def _places(number):
    if number == types.float32:
        return lambda number: places32(number)
    return lambda number: places64(number)


@jit(fastmath=False)
def log_lower(y, p):
    """Return log u: log p below the middle, log(1 - p) above."""
    t = p if y < 0 else 1.0 - p
    lost = 0.0 if y < 0 else (-p - (t - 1.0)) / t
    return log(t) + lost


@jit(fastmath=False)
def uniform32(values):
    for i in range(len(values)):
        k = np.int32(bits_of_float32(values[i]) >> np.uint32(9))
        values[i] = (np.float32(k) + np.float32(0.5)) * np.float32(2.0**-23)


@jit(fastmath=False)
def uniform64(values):
    for i in range(len(values)):
        k = np.int64(bits_of_float64(values[i]) >> np.uint64(12))
        values[i] = (np.float64(k) + 0.5) * 2.0**-52


@jit(fastmath=False)
def exponential(values):
    for i in range(len(values)):
        y, p = places(values[i])
        values[i] = -log_lower(-y, p)


@jit(fastmath=False)
def gumbel(values):
    for i in range(len(values)):
        y, p = places(values[i])
        values[i] = -log(-log_lower(y, p))


@jit(fastmath=False)
def logistic(values):
    for i in range(len(values)):
        y, p = places(values[i])
        size = log1p(2 * abs(y) / p)
        values[i] = -size if y < 0 else size


@jit(fastmath=False)
def laplace(values):
    for i in range(len(values)):
        y, p = places(values[i])
        size = -log_lower(0.25 - abs(y), 2 * abs(y)) if abs(y) < 0.25 else -log(2 * p)
        values[i] = -size if y < 0 else size


@jit(fastmath=False)
def cauchy(values):
    for i in range(len(values)):
        y, p = places(values[i])
        size = math.tan(math.pi * abs(y)) if abs(y) < 0.25 else 1.0 / math.tan(math.pi * p)
        values[i] = -size if y < 0 else size


@jit(fastmath=False)
def rademacher(values):
    for i in range(len(values)):
        y, _ = places(values[i])
        values[i] = -1.0 if y < 0 else 1.0
