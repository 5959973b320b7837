# mypy: allow-untyped-defs
"""Numbers as bits: casts that cost nothing, and a logarithm that gives the same bits on every CPU.

Nothing here is compiled with fast-math, so products and sums are rounded apart, as in `reference.laws`.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from reparam.kernels.cpu.jit import jit
from reparam.kernels.reference.laws import ATANH, LN2_HIGH, LN2_LOW

ROOT_HALF = np.float64(0.5**0.5)
A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11 = ATANH


def _cast(source, target):
    @intrinsic
    def cast(typing, value):
        def build(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), build

    return cast


float32_of = _cast(types.uint32, types.float32)
bits_of_float32 = _cast(types.float32, types.uint32)
float64_of = _cast(types.uint64, types.float64)
bits_of_float64 = _cast(types.float64, types.uint64)


@intrinsic
def _fma(typing, a, b, c):
    """Return a b + c in float32, rounded once, on every CPU (in software where the CPU lacks it)."""

    def build(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), build


fma: Any = _fma


@jit(fastmath=False)
def log(x):
    """Return log x for normal positive float64: the operations of `reference.laws.log`, one for one."""
    bits = bits_of_float64(x)
    # 2^52 + k, read as float64, is the exponent as a number without a conversion
    e = float64_of(np.uint64(0x4330000000000000) | (bits >> np.uint64(52))) - (2.0**52 + 1022.0)
    m = float64_of(np.uint64(0x3FE0000000000000) | (bits & np.uint64(0xFFFFFFFFFFFFF)))
    small = m < ROOT_HALF
    m, e = (m * 2 if small else m), (e - 1.0 if small else e)
    a = (m - 1.0) / (m + 1.0)
    s = a * a
    odd = A6 + s * (A7 + s * (A8 + s * (A9 + s * (A10 + s * A11))))
    odd = A0 + s * (A1 + s * (A2 + s * (A3 + s * (A4 + s * (A5 + s * odd)))))
    return e * LN2_HIGH + (a * 2 + (a * s * odd + e * LN2_LOW))


@jit(fastmath=False)
def log1p(x):
    """Return log(1 + x) for x > -1 in float64: log(t) and the part of x that t = 1 + x lost, divided by t."""
    t = 1.0 + x
    return log(t) + (x - (t - 1.0)) / t
