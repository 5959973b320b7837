"""Draws of the inverse Gaussian law and their derivatives: z = mu e^(2u) with F(z; mu, lambda) = Phi(eps).

With p = sqrt(lambda/mu), a = 2 p sinh u, b = 2 p cosh u and Mills' ratio M(t) = Phi(-t)/phi(t), one pass serves all:

    F = phi(a) (M(-a) + M(b)),   S = phi(a) (M(a) - M(b)),   density of u = 2 phi(a) (b - a)

Both tails are log-concave in u, so that Newton's method ends on either; Halley's term needs only
d log(density)/du = -1 - a b. With K(t) = 1 - t M(t) = -M'(t) and w = e^(2u)/(1 + e^(2u)),

    dz/dmu = 2 (z/mu) w (1 - K(b)),   dz/dlambda = (z/lambda) (2 w K(b) - tanh u)
"""

from __future__ import annotations

from functools import cache

import numpy as np
from torch import Tensor

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.elementwise import Kernel, elementwise
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.normal_tail import ROOT_2PI, scaled64
from reparam.kernels.cpu.series import BLOCK
from reparam.kernels.tables import table

STEP = {
    "64": 1e-5,
    "32": 1e-3,
}  # Halley's steps triple the digits: stop after one this small, in units of the score
NARROW, MOST = 0.25, 100  # below this width M(a) - M(b) is integrated
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(6)
POINTS, WEIGHTS = 0.5 + 0.5 * _POINTS, 0.5 * _WEIGHTS


@jit(forceinline=True)
def mills(t):
    """M(t), to the last digits also for t < 0."""
    near = ROOT_2PI * scaled64(abs(t))
    return near if t >= 0.0 else ROOT_2PI * el.exp(0.5 * t * t) - near


@jit(forceinline=True)
def mills_gap(t, table):
    """K(t) = P(q)/(1 + t)^2, q = (t - 4)/(t + 4), for t >= 0; 1 - t M(t) below, where nothing cancels."""
    s = abs(t)
    q = (s - 4.0) / (s + 4.0)
    p = table[-1]
    for n in range(table.size - 2, -1, -1):
        p = p * q + table[n]
    return p / ((1.0 + s) * (1.0 + s)) if t >= 0.0 else 1.0 - t * mills(t)


@jit
def mills_difference(a, width, table):
    """M(a) - M(a + width) = int K over a small width."""
    total = 0.0
    for k in range(POINTS.size):
        total += WEIGHTS[k] * mills_gap(a + width * POINTS[k], table)
    return total * width


@jit
def start_values(p, eps, m, near, u):
    """near = M(|eps|); u: Newton's step for a on the lower tail from a = eps, or eps - M(b) on the upper one."""
    for i in range(m):
        near[i] = mills(abs(eps[i]))
        b = mills(np.sqrt(eps[i] * eps[i] + 4.0 * p[i] * p[i]))
        shift = b / (1.0 + 0.443 * b / near[i]) if eps[i] < 0.0 else b
        v = (eps[i] - shift) / (2.0 * p[i])
        s = abs(v)
        size = el.log1p(s + s * (s / (1.0 + np.sqrt(1.0 + s * s)))) if s < 1e150 else el.log(2.0 * s)
        u[i] = size if v > 0.0 else -size


@jit
def halley(p, eps, near, m, table, u, a, b, G, size):
    """One step of u; size is the step in units of the score."""
    for i in range(m):
        e = el.expm1(abs(u[i]))
        sinh, cosh = e + e / (1.0 + e), 2.0 + e * e / (1.0 + e)
        a[i] = p[i] * (sinh if u[i] > 0.0 else -sinh)
        b[i] = p[i] * cosh
        far = ROOT_2PI * scaled64(b[i])
        G[i] = mills(-a[i]) + far if eps[i] < 0.0 else mills(a[i]) - far
    for i in range(m):
        width = 2.0 * p[i] * el.exp(-u[i])
        if eps[i] >= 0.0 and width < NARROW:
            G[i] = mills_difference(a[i], width, table)
        gap = el.log(G[i] / near[i]) + 0.5 * (eps[i] - a[i]) * (eps[i] + a[i])
        h = width / G[i] if eps[i] < 0.0 else -width / G[i]
        newton = gap / h
        step = newton / max(1.0 + 0.5 * newton * (1.0 + a[i] * b[i] + h), 0.3)
        reach = 2.0 + 0.5 * abs(u[i])
        step = min(max(step, -reach), reach)
        u[i] -= step
        size[i] = abs(step) * max(b[i], 1.0)


@jit
def solve(p, eps, m, tolerance, table, Z, rows, out):
    """Fill out = u; a number whose step was small leaves the block. p and eps are overwritten."""
    near, u, a, b, G, size = Z[0], Z[1], Z[2], Z[3], Z[4], Z[5]
    start_values(p, eps, m, near, u)
    for i in range(m):
        rows[i] = i
    for _ in range(MOST):
        halley(p, eps, near, m, table, u, a, b, G, size)
        left = 0
        for i in range(m):
            out[rows[i]] = u[i]
            if not size[i] < tolerance:
                p[left], eps[left], near[left], u[left], rows[left] = p[i], eps[i], near[i], u[i], rows[i]
                left += 1
        m = left
        if m == 0:
            break


@jit
def draw(mu, lam, eps, moving, tolerance, table, z, of_mu, of_lam):
    """Fill z and, where `moving`, dz/dmu and dz/dlambda."""
    Z, rows = np.empty((9, BLOCK)), np.empty(BLOCK, np.int64)
    p, e, u = Z[6], Z[7], Z[8]
    for start in range(0, eps.size, BLOCK):
        m = min(BLOCK, eps.size - start)
        for i in range(m):
            p[i] = np.sqrt(lam[start + i] / mu[start + i])
            e[i] = eps[start + i]
        solve(p, e, m, tolerance, table, Z, rows, u)
        for i in range(m):
            k = start + i
            root = el.exp(u[i])
            z[k] = root * (mu[k] * root)
            if abs(eps[k]) == np.inf:
                z[k] = max(eps[k], 0.0)
        if moving:
            for i in range(m):
                k = start + i
                small = el.exp(-2.0 * abs(u[i]))
                w = (1.0 if u[i] > 0.0 else small) / (1.0 + small)
                tanh = -el.expm1(-2.0 * abs(u[i])) / (1.0 + small)
                K = mills_gap(np.sqrt(lam[k] / mu[k]) * (el.exp(u[i]) + el.exp(-u[i])), table)
                of_mu[k] = 2.0 * (z[k] / mu[k]) * w * (1.0 - K)
                of_lam[k] = (z[k] / lam[k]) * (2.0 * w * K - (tanh if u[i] > 0.0 else -tanh))


@cache
def _kernel(digits: str, moving: bool) -> Kernel:
    tolerance, series = STEP[digits], table("mills_gap")

    def kernel(mu: np.ndarray, lam: np.ndarray, eps: np.ndarray, z: np.ndarray, *v: np.ndarray) -> None:
        draw(mu, lam, eps, moving, tolerance, series, z, *(v or (z, z)))

    return kernel


def inverse_gaussian_draw(
    loc: Tensor, concentration: Tensor, eps: Tensor, moving: bool = False
) -> tuple[Tensor, ...]:
    """Return (z,) with F(z; mu, lambda) = Phi(eps), and where `moving` also dz/dmu and dz/dlambda at fixed eps."""
    kernels = _kernel("64", moving), _kernel("32", moving)
    return elementwise(kernels, 3 if moving else 1, loc, concentration, eps)


def inverse_gaussian_quantile(loc: Tensor, concentration: Tensor, eps: Tensor) -> Tensor:
    """Return z with F(z; mu, lambda) = Phi(eps)."""
    return inverse_gaussian_draw(loc, concentration, eps)[0]
