# mypy: allow-untyped-defs
"""The normal tail without calls or branches, for loops that become vector code.

    scaled(t) = Phi(-t) e^(t^2/2) = p(q) / (1 + 2 t),  q = (t - 4)/(t + 4),  t >= 0

with p a polynomial of degree 25 (`scaled64`, relative error 3e-16) or 13 (`scaled32`, 1e-9): the Chebyshev expansion
of the definition. Polynomials are summed in groups of four, which keeps the chains of operations short.
"""

from __future__ import annotations

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit

ROOT_2PI = 2.50662827463100050242
HALF_LOG_2PI = 0.91893853320467274178


@jit(forceinline=True)
def exp_negative(x):
    """e^x for x <= 0; e^-700 below -700."""
    y = max(x, -700.0)
    t = y * el.INV_LN2 + el.ROUND
    n = t - el.ROUND
    r = (y - n * el.LN2_HIGH) - n * el.LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    p0 = (0.5 + (1.0 / 6.0) * r) + (1.0 / 24.0 + (1.0 / 120.0) * r) * r2
    p1 = (1.0 / 720.0 + (1.0 / 5040.0) * r) + (1.0 / 40320.0 + (1.0 / 362880.0) * r) * r2
    p2 = (1.0 / 3628800.0 + (1.0 / 39916800.0) * r) + (1.0 / 479001600.0) * r2
    p = ((p0 + (p1 + p2 * r4) * r4) * r2 + r) + 1.0
    return p * el.double_of((el.bits_of(t) + 1023) << 52)


@jit(forceinline=True)
def exp_coarse(x):
    """e^x for x <= 0 to 2e-10; e^-700 below -700."""
    y = max(x, -700.0)
    t = y * el.INV_LN2 + el.ROUND
    r = y - (t - el.ROUND) * 0.69314718055994530942
    r2 = r * r
    p0 = (1.0 + r) + (0.5 + (1.0 / 6.0) * r) * r2
    p1 = (1.0 / 24.0 + (1.0 / 120.0) * r) + (1.0 / 720.0 + (1.0 / 5040.0) * r) * r2
    r4 = r2 * r2
    return (p0 + (p1 + (1.0 / 40320.0) * r4) * r4) * el.double_of((el.bits_of(t) + 1023) << 52)


@jit(forceinline=True)
def scaled64(t):
    """Phi(-t) e^(t^2/2) for t >= 0 to the last digits."""
    a, b = t + 4.0, 1.0 + 2.0 * t
    inverse = 1.0 / (a * b)
    q = (t - 4.0) * b * inverse
    q2 = q * q
    q4 = q2 * q2
    q8 = q4 * q4
    p0 = (0.8496957717177205 - 0.0230092331045961 * q) + (-0.09637998589041487 + 0.1289081354448279 * q) * q2
    p1 = (-0.09526047896235734 + 0.04436429044182781 * q) + (
        -0.010512319260177495 - 0.0012100600536775602 * q
    ) * q2
    p2 = (0.0015769785146464612 - 0.00014330555702392553 * q) + (
        -0.00020435496042814255 + 3.786820510620396e-05 * q
    ) * q2
    p3 = (3.155836941111641e-05 - 6.033669120827032e-06 * q) + (
        -5.890344820256023e-06 + 5.994594278241593e-07 * q
    ) * q2
    p4 = (1.203791784677998e-06 + 6.20662585163726e-08 * q) + (
        -2.381376932443622e-07 - 5.927971484653706e-08 * q
    ) * q2
    p5 = (4.012535537152625e-08 + 2.0192260021260067e-08 * q) + (
        -4.8651996766701476e-09 - 4.164340283322899e-09 * q
    ) * q2
    p6 = 3.036056448882455e-10 + 4.2019795322066724e-10 * q
    return ((p0 + p1 * q4) + ((p2 + p3 * q4) + ((p4 + p5 * q4) + p6 * q8) * q8) * q8) * (a * inverse)


@jit(forceinline=True)
def scaled32(t):
    """Phi(-t) e^(t^2/2) for t >= 0 to 1e-9."""
    a, b = t + 4.0, 1.0 + 2.0 * t
    inverse = 1.0 / (a * b)
    q = (t - 4.0) * b * inverse
    q2 = q * q
    q4 = q2 * q2
    p0 = (0.849695771364139 - 0.023009232609734045 * q) + (
        -0.09637995072606569 + 0.12890811684455308 * q
    ) * q2
    p1 = (-0.09526105286286589 + 0.04436449307871029 * q) + (
        -0.010508777601680732 - 0.001211036168548185 * q
    ) * q2
    p2 = (0.0015664169553550955 - 0.00014088148655797128 * q) + (
        -0.00018770501298333826 + 3.462297710514396e-05 * q
    ) * q2
    p3 = 1.7578608271165855e-05 - 3.8022655064863613e-06 * q
    return ((p0 + p1 * q4) + (p2 + p3 * q4) * (q4 * q4)) * (a * inverse)
