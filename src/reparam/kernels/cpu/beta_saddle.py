"""Tails of the Beta law at large parameters: one integral of fixed length, whatever the parameters.

On the logit scale, with x <= 1/2 and S = a + b, the density f of xi is log-concave. Along the nearer tail

    tail = f K,   K = int_0^T exp(-phi(t)) dt,   phi(t) = log f(xi) - log f(xi + s t),   s = -1 below the mean, else 1

With E = expm1(s t) and g = x S - a (the slope of phi at 0, up to the sign), free of cancellation,

    phi = g s t + S [(log1p(x E) - x E) + x (E - s t)],   phi(T) >= REACH

phi is convex and nearly quadratic where a and b are large: NODES of Gauss and Legendre leave 1e-13 of K.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit

LEAST, LONGEST = 400.0, 0.65  # smallest parameter, and longest first guess of T
REACH = 37.0
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(20)
NODES, WEIGHTS = 0.5 + 0.5 * _POINTS, 0.5 * _WEIGHTS  # on [0, 1]


@jit(forceinline=True)
def log1p_rest(z):
    """log(1 + z) - z for -1/4 < z < 5/8: -z s + 2 s^3 (1/3 + s^2/5 + ..), s = z/(2 + z)."""
    s = z / (2.0 + z)
    q = s * s
    p = 1.0 / 25.0
    p = p * q + 1.0 / 23.0
    p = p * q + 1.0 / 21.0
    p = p * q + 1.0 / 19.0
    p = p * q + 1.0 / 17.0
    p = p * q + 1.0 / 15.0
    p = p * q + 1.0 / 13.0
    p = p * q + 1.0 / 11.0
    p = p * q + 1.0 / 9.0
    p = p * q + 1.0 / 7.0
    p = p * q + 1.0 / 5.0
    p = p * q + 1.0 / 3.0
    return s * (2.0 * q * p - z)


@jit(forceinline=True)
def exp_rest(t):
    """e^t - 1 - t for |t| < 0.9."""
    p = 1.0 / 355687428096000.0
    p = p * t + 1.0 / 20922789888000.0
    p = p * t + 1.0 / 1307674368000.0
    p = p * t + 1.0 / 87178291200.0
    p = p * t + 1.0 / 6227020800.0
    p = p * t + 1.0 / 479001600.0
    p = p * t + 1.0 / 39916800.0
    p = p * t + 1.0 / 3628800.0
    p = p * t + 1.0 / 362880.0
    p = p * t + 1.0 / 40320.0
    p = p * t + 1.0 / 5040.0
    p = p * t + 1.0 / 720.0
    p = p * t + 1.0 / 120.0
    p = p * t + 1.0 / 24.0
    p = p * t + 1.0 / 6.0
    p = p * t + 0.5
    return p * t * t


@jit(forceinline=True)
def excess(a, b, x, xi):
    """g = x S - a, with the error of its larger term; near x = 1/2 from x = 1/2 - tanh(|xi|/2)/2."""
    e = el.expm1(-abs(xi))
    return (a + b) * x - a if x < 0.25 else 0.5 * (b - a) + (a + b) * (0.5 * e / (2.0 + e))


@jit(forceinline=True)
def first_reach(g, c):
    """T of the quadratic |g| T + c T^2/2 = REACH."""
    return 2.0 * REACH / (abs(g) + np.sqrt(g * g + 2.0 * REACH * c))


@jit(forceinline=True)
def holds(a, b, x, y, g):
    """Whether the integral is the way to the tail."""
    return min(a, b) >= LEAST and first_reach(g, (a + b) * x * y) < LONGEST


@jit(forceinline=True)
def central_log_density(a, b, logx, logy, g):
    """a log(x/mu) + b log(y/(1 - mu)), mu = a/S, without the terms +-g that cancel."""
    u, v = g / a, -g / b
    if abs(u) < 0.25 and abs(v) < 0.25:
        return a * log1p_rest(u) + b * log1p_rest(v)
    return a * (logx - el.log(a / (a + b))) + b * (logy + el.log1p(a / b))


@jit
def integral(a, b, x, g, m, reach, out):
    """out = K. One step of Newton's method from the quadratic's T ends beyond phi = REACH, since phi is convex."""
    for i in range(m):
        s, S = (-1.0 if g[i] < 0.0 else 1.0), a[i] + b[i]
        c = S * x[i] * (1.0 - x[i])
        t = s * first_reach(g[i], c)
        rest = exp_rest(t)
        E = t + rest
        phi = g[i] * t + S * (log1p_rest(x[i] * E) + x[i] * rest)
        reach[i] = t - (phi - REACH) / (g[i] + c * E / (1.0 + x[i] * E))
        out[i] = 0.0
    for k in range(NODES.size):
        node, weight = NODES[k], WEIGHTS[k]
        for i in range(m):
            t, p = reach[i] * node, x[i]
            rest = exp_rest(t)
            E = t + rest
            phi = g[i] * t + (a[i] + b[i]) * (log1p_rest(p * E) + p * rest)
            out[i] += weight * el.exp(-phi)
    for i in range(m):
        out[i] *= abs(reach[i])
