"""Elementary functions without branches or calls, so that loops over them become vector code.

Each takes and returns one double. Errors: `log` 1 ulp, `exp` 1 ulp, `log1p` and `expm1` 2 ulp. Arguments
outside the range of doubles saturate: exp(-800) is 0, exp(800) is inf.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from reparam.kernels.cpu.jit import jit

LN2_HIGH = 6.93147180369123816490e-01  # the leading 33 bits of log 2, so that n * LN2_HIGH is exact
LN2_LOW = 1.90821492927058770002e-10
INV_LN2 = 1.44269504088896338700
ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, held in the low bits
TWO52 = 4503599627370496.0


@intrinsic
def bits_of(typingctx: Any, x: Any) -> Any:
    """Return the bits of a double as an int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def double_of(typingctx: Any, bits: Any) -> Any:
    """Return the double with the bits of an int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@jit(forceinline=True)
def log(x):
    """log x = n log 2 + 2 artanh s, s = f / (2 + f), f = m - 1, x = 2^n m, m in [sqrt(1/2), sqrt 2)."""
    tiny = x < 2.3e-308
    y = x * 18014398509481984.0 if tiny else x
    bits = bits_of(y) - 0x3FE6A09E667F3BCD
    n = double_of(((bits >> 52) + 1024) | 0x4330000000000000) - (TWO52 + 1024.0)
    n = n - 54.0 if tiny else n
    m = double_of((bits & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)
    f = m - 1.0
    s = f / (2.0 + f)
    q = s * s
    p = 0.1479819860511658591
    p = p * q + 0.1531383769920937332
    p = p * q + 0.1818357216161805012
    p = p * q + 0.2222219843214978396
    p = p * q + 0.2857142874366239149
    p = p * q + 0.3999999999940941908
    p = p * q + 0.6666666666666735130
    half = 0.5 * f * f
    value = n * LN2_HIGH - ((half - (s * (half + q * p) + n * LN2_LOW)) - f)
    value = -float("inf") if x == 0.0 else value
    return value if x < float("inf") else x


@jit(forceinline=True)
def two_to_the(n):
    """2^n in two factors: n may be beyond the exponents of doubles."""
    half = (0.5 * n + ROUND) - ROUND
    return double_of((bits_of(half + ROUND) + 1023) << 52), double_of(
        (bits_of((n - half) + ROUND) + 1023) << 52
    )


@jit(forceinline=True)
def exp(x):
    """exp x = 2^n exp r, |r| <= log(2) / 2, by a polynomial of degree 12."""
    y = min(max(x, -800.0), 800.0)
    t = y * INV_LN2 + ROUND
    n = t - ROUND
    r = (y - n * LN2_HIGH) - n * LN2_LOW
    p = 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = (p * r) * r + r + 1.0
    first, second = two_to_the(n)
    return p * first * second if x == x else x


@jit(forceinline=True)
def log1p(x):
    """log(1 + x) = log u + (x - (u - 1)) / u with u = 1 + x: the second term mends the rounding of u."""
    u = 1.0 + x
    value = log(u) + (x - (u - 1.0)) / u
    return value if abs(x) > 1e-300 and u > 0.0 and u < 1e300 else (x if abs(x) < 1.0 else log(u))


@jit(forceinline=True)
def expm1(x):
    """exp x - 1 = 2^n (q + 1) - 1 with q = exp r - 1 free of cancellation."""
    y = min(max(x, -60.0), 720.0)
    t = y * INV_LN2 + ROUND
    n = t - ROUND
    r = (y - n * LN2_HIGH) - n * LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    q = (p * r) * r + r
    first, second = two_to_the(n)
    scale = first * second
    value = q * scale + (scale - 1.0)
    return value if x < 709.7 else exp(x)
