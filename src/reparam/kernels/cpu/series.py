"""Blockwise pieces that the special-function kernels share.

A kernel works on blocks of BLOCK numbers: it sorts the block by regime, gathers the members of a regime into
contiguous scratch, runs straight-line loops over them, and scatters the results. The loop over terms is
outside, the loop over numbers inside, so that the compiler turns the latter into vector code.
"""

from __future__ import annotations

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit

BLOCK = 512


@jit
def polynomial(row, length, x, m, out):
    """out = sum_n row[n] x^n, n < length (a multiple of four), eight coefficients per pass over the block."""
    n = length - 4
    c0, c1, c2, c3 = row[n], row[n + 1], row[n + 2], row[n + 3]
    for i in range(m):
        t = x[i]
        out[i] = ((c3 * t + c2) * t + c1) * t + c0
    while n >= 8:
        n -= 8
        c0, c1, c2, c3 = row[n], row[n + 1], row[n + 2], row[n + 3]
        c4, c5, c6, c7 = row[n + 4], row[n + 5], row[n + 6], row[n + 7]
        for i in range(m):
            t = x[i]
            p = (((out[i] * t + c7) * t + c6) * t + c5) * t + c4
            out[i] = (((p * t + c3) * t + c2) * t + c1) * t + c0
    if n == 4:
        c0, c1, c2, c3 = row[0], row[1], row[2], row[3]
        for i in range(m):
            t = x[i]
            out[i] = (((out[i] * t + c3) * t + c2) * t + c1) * t + c0


@jit
def double_series(table, lengths, x, y, m, scratch, out):
    """out = sum_k y^k sum_n table[k, n] x^n."""
    last = table.shape[0] - 1
    polynomial(table[last], lengths[last], x, m, out)
    for k in range(last - 1, -1, -1):
        polynomial(table[k], lengths[k], x, m, scratch)
        for i in range(m):
            out[i] = out[i] * y[i] + scratch[i]


@jit
def take(source, index, m, out):
    """out[j] = source[index[j]]."""
    for j in range(m):
        out[j] = source[index[j]]


@jit
def put(values, index, m, out):
    """out[index[j]] = values[j]."""
    for j in range(m):
        out[index[j]] = values[j]


@jit(forceinline=True)
def digamma_tail(x):
    """psi(x) - log x for x >= 15 (Stirling; error 1e-17)."""
    r = 1.0 / x
    q = r * r
    p = -1.0 / 12.0
    p = p * q + 691.0 / 32760.0
    p = p * q - 1.0 / 132.0
    p = p * q + 1.0 / 240.0
    p = p * q - 1.0 / 252.0
    p = p * q + 1.0 / 120.0
    p = p * q - 1.0 / 12.0
    return p * q - 0.5 * r


@jit(forceinline=True)
def trigamma_tail(x):
    """psi'(x) for x >= 15."""
    r = 1.0 / x
    q = r * r
    p = 7.0 / 6.0
    p = p * q - 691.0 / 2730.0
    p = p * q + 5.0 / 66.0
    p = p * q - 1.0 / 30.0
    p = p * q + 1.0 / 42.0
    p = p * q - 1.0 / 30.0
    p = p * q + 1.0 / 6.0
    return p * q * r + 0.5 * q + r


@jit
def digamma(x, m, out):
    """out = psi(x) for x > 0 by fifteen steps of psi(x) = psi(x + 1) - 1/x (the sum is one fraction)."""
    for i in range(m):
        d, e = x[i], 1.0
        for k in range(1, 15):
            t = x[i] + k
            e = d + t * e
            d = d * t
        top = x[i] + 15.0
        out[i] = el.log(top) + digamma_tail(top) - e / d


@jit
def trigamma(x, m, out):
    """out = psi'(x) for x > 0, by the same fifteen steps."""
    for i in range(m):
        total = 0.0
        for k in range(15):
            t = 1.0 / (x[i] + k)
            total += t * t
        out[i] = total + trigamma_tail(x[i] + 15.0)


@jit
def log_tail(x, mills, m, out):
    """out = log Phi(-x) for x >= 0: -x^2/2 + log of the Mills ratio, a polynomial in (x - 4)/(x + 4)."""
    for i in range(m):
        q = (x[i] - 4.0) / (x[i] + 4.0)
        p = mills[-1]
        for n in range(mills.size - 2, -1, -1):
            p = p * q + mills[n]
        out[i] = el.log(p / (1.0 + 2.0 * x[i])) - 0.5 * x[i] * x[i]


@jit(forceinline=True)
def log_complement(x):
    """log(1 - e^x) for x <= 0."""
    return el.log(-el.expm1(x)) if x > -0.7 else el.log1p(-el.exp(x))


@jit(forceinline=True)
def stirling_rest(x):
    """log Gamma(x) - (x - 1/2) log x + x - log(2 pi)/2 for x >= 15."""
    r = 1.0 / x
    q = r * r
    p = 1.0 / 156.0
    p = p * q - 691.0 / 360360.0
    p = p * q + 1.0 / 1188.0
    p = p * q - 1.0 / 1680.0
    p = p * q + 1.0 / 1260.0
    p = p * q - 1.0 / 360.0
    p = p * q + 1.0 / 12.0
    return p * r


@jit(forceinline=True)
def stirling_tail(x):
    """log Gamma(x) - (x - 1/2) log x + x for x >= 15."""
    return stirling_rest(x) + 0.91893853320467274178


@jit
def log_gamma_1p(x, m, out):
    """out = log Gamma(1 + x) for x > 0 by fifteen steps up and Stirling; absolute error 1e-14 for small x."""
    for i in range(m):
        d = x[i] + 1.0
        for k in range(2, 16):
            d = d * (x[i] + k)
        top = x[i] + 16.0
        out[i] = (top - 0.5) * el.log(top) - top + stirling_tail(top) - el.log(d)
