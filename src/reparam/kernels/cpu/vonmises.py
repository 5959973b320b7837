"""von Mises on (-pi, pi): density f(z) = e^(kappa cos z)/(2 pi I_0(kappa)); by symmetry z >= 0 below.

With C = integral_0^z e^(kappa (cos t - cos z)) dt and G = integral_z^pi of the same: F(z) - 1/2 = f C, 1 - F = f G.
The velocity is v = dz/dkappa = -integral_0^z (cos t - A) e^(kappa (cos t - cos z)) dt, A = I_1/I_0, or the
integral from z to pi with the other sign.

- U (kappa >= 30, T = tan(z/2) small): v = T sum_{k>=1} kappa^-k p_k(T^2), exact polynomials.
- else Gauss-Legendre with 28 nodes in sin(t/2) (for C, and for G at large kappa) or cos(t/2) (for G at small kappa),
  over the part of the range that counts.

Quantile: for kappa >= 30 the series 2 sin(z/2) = q sum_k kappa^-k R_k(q^2), q = eps/sqrt(kappa); elsewhere
Halley steps on log(F - 1/2) or log(1 - F), and next to the median the series F - 1/2 = f(0) (z - kappa z^3/6).
"""

from __future__ import annotations

import math

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.series import BLOCK, log_complement, log_tail

NODES, WEIGHTS = np.polynomial.legendre.leggauss(28)
LEAST = 30.0
CENTRE = 1e-6
PI = math.pi
LOG_2PI = math.log(2.0 * math.pi)


@jit
def bessel(kappa, m, A, log_norm):
    """A = I_1/I_0 and log_norm = -log(2 pi I_0 e^-kappa): Miller's recurrence below LEAST, asymptotics above."""
    for i in range(m):
        k = min(kappa[i], LEAST)
        p, q, s, square = 0.0, 1.0, 0.0, k * k
        for n in range(80, 0, -1):  # I_n = p_n kappa^n up to a factor: p_{n-1} = kappa^2 p_{n+1} + 2n p_n
            s = k * (q + s)
            p, q = q, (square * p + 2.0 * n * q) * 0.02
            p *= 0.02
            s *= 0.02
        A[i] = k * p / q
        log_norm[i] = el.log1p(2.0 * s / q) - LOG_2PI
    for i in range(m):
        if kappa[i] >= LEAST:
            r = 0.125 / kappa[i]
            t0, t1, s0, s1 = 1.0, 1.0, 1.0, 1.0
            for n in range(1, 22):
                odd = (2.0 * n - 1.0) * (2.0 * n - 1.0)
                t0 *= odd * r / n
                t1 *= (odd - 4.0) * r / n
                s0 += t0
                s1 += t1
            A[i] = s1 / s0
            log_norm[i] = 0.5 * (np.log(kappa[i]) - LOG_2PI) - np.log(s0)


@jit
def polynomials(table, lengths, x, r):
    """sum_k r^k sum_n table[k, n] x^n for one number."""
    total = 0.0
    for k in range(table.shape[0] - 1, -1, -1):
        p = 0.0
        for n in range(lengths[k] - 1, -1, -1):
            p = p * x + table[k, n]
        total = total * r + p
    return total


@jit
def integrals(kappa, z, A, in_tail, m, W, first, second):
    """C or G into `first`, and the integral of (cos t - A) over the same range into `second`.

    With rho = sin(t/2) or cos(t/2) and e^2 its square at z: kappa (cos t - cos z) = 2 kappa sign (e^2 - rho^2),
    cos t = sign (1 - 2 rho^2), dt = 2 drho/sqrt(1 - rho^2).
    """
    for i in range(m):
        s, c, reach = np.sin(0.5 * z[i]), np.cos(0.5 * z[i]), 19.0 / kappa[i]
        first[i] = 0.0
        second[i] = 0.0
        if not in_tail[i]:  # even in rho: half of (-s, s)
            low, span, weight, sign, e2 = -s, 2.0 * s, 0.5, 1.0, s * s
        elif s * s + reach < 0.6:
            low, span, weight, sign, e2 = s, np.sqrt(s * s + reach) - s, 1.0, 1.0, s * s
        else:
            low = np.sqrt(max(0.0, c * c - reach))
            span, weight, sign, e2 = c - low, 1.0, -1.0, c * c
        W[0, i], W[1, i], W[2, i], W[3, i], W[4, i] = low, span, weight * span, sign, e2
    for j in range(28):
        x, w = 0.5 * (1.0 + NODES[j]), WEIGHTS[j]
        for i in range(m):
            rho = W[0, i] + W[1, i] * x
            r2, sign = rho * rho, W[3, i]
            e = el.exp(2.0 * kappa[i] * sign * (W[4, i] - r2)) * (W[2, i] * w) / np.sqrt(1.0 - r2)
            first[i] += e
            second[i] += (sign * (1.0 - 2.0 * r2) - A[i]) * e


@jit
def sides(kappa, z, A, m, in_tail):
    """Whether each z lies in the tail: beyond the zero of cos t - A by a margin."""
    for i in range(m):
        zero = np.arccos(A[i])
        in_tail[i] = z[i] > (1.3 * zero if kappa[i] >= LEAST else zero + 0.5)


@jit
def velocity(kappa, z, v, table, lengths):
    """Fill v = dz/dkappa at fixed noise."""
    W = np.empty((5, BLOCK))
    A, norm, x, first, second = (
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK),
    )
    k, where, flag = np.empty(BLOCK), np.empty(BLOCK, np.int64), np.empty(BLOCK, np.bool_)
    for start in range(0, kappa.size, BLOCK):
        m = 0
        for i in range(start, min(start + BLOCK, kappa.size)):
            T = np.tan(0.5 * z[i])
            if kappa[i] >= LEAST and T * T < 0.36:
                r = 1.0 / kappa[i]
                v[i] = T * r * polynomials(table, lengths, T * T, r)
            else:
                k[m], x[m], where[m] = kappa[i], min(abs(z[i]), PI), i
                m += 1
        bessel(k, m, A, norm)
        sides(k, x, A, m, flag)
        integrals(k, x, A, flag, m, W, first, second)
        for j in range(m):
            value = second[j] if flag[j] else -second[j]
            v[where[j]] = value if z[where[j]] >= 0.0 else -value


@jit
def tails(kappa, z, logp, logq):
    """Fill log F(z) and log(1 - F(z))."""
    W = np.empty((5, BLOCK))
    A, norm, x, first, second = (
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK),
    )
    flag = np.empty(BLOCK, np.bool_)
    for start in range(0, kappa.size, BLOCK):
        m = min(BLOCK, kappa.size - start)
        k = kappa[start : start + m]
        for i in range(m):
            x[i] = min(abs(z[start + i]), PI)
        bessel(k, m, A, norm)
        sides(k, x, A, m, flag)
        integrals(k, x, A, flag, m, W, first, second)
        for i in range(m):
            s = np.sin(0.5 * x[i])
            density = np.exp(norm[i] - 2.0 * k[i] * s * s)
            near = density * first[i] if flag[i] else 0.5 - density * first[i]
            near = np.log(near) if near > 0.0 else -np.inf
            far = log_complement(min(near, -1e-300))
            logp[start + i] = near if z[start + i] < 0.0 else far
            logq[start + i] = far if z[start + i] < 0.0 else near


@jit
def quantile(kappa, eps, z, table, lengths, mills, centre, tolerance):
    """Fill z with F(z) = Phi(eps); centre = (1/2) erf(abs(eps)/sqrt 2)."""
    W = np.empty((5, BLOCK))
    A, norm, x, first, second = (
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK),
        np.empty(BLOCK),
    )
    k, e, tail, where = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK, np.int64)
    flag = np.empty(BLOCK, np.bool_)
    for start in range(0, kappa.size, BLOCK):
        m = 0
        for i in range(start, min(start + BLOCK, kappa.size)):
            q = eps[i] / np.sqrt(kappa[i])
            if kappa[i] >= LEAST and q * q < 1.0:
                r = q * polynomials(table, lengths, q * q, 1.0 / kappa[i])
                z[i] = 2.0 * np.arcsin(0.5 * r)
            else:
                k[m], e[m], where[m] = kappa[i], abs(eps[i]), i
                x[m] = max(2.0 * PI * centre[i] if kappa[i] < 1.0 else min(abs(q), 2.0), CENTRE)
                m += 1
        log_tail(e, mills, m, tail)
        bessel(k, m, A, norm)
        for _ in range(60):
            sides(k, x, A, m, flag)
            integrals(k, x, A, flag, m, W, first, second)
            worst = 0.0
            for j in range(m):
                s = np.sin(0.5 * x[j])
                target = tail[j] if flag[j] else np.log(max(centre[where[j]], CENTRE))
                gap = norm[j] - 2.0 * k[j] * s * s + np.log(max(first[j], 1e-300)) - target
                h = -1.0 / first[j] if flag[j] else 1.0 / first[j]
                newton = gap / h if x[j] > 0.0 and first[j] > 0.0 else 0.0
                bend = -k[j] * np.sin(x[j]) - h
                step = newton / min(max(1.0 - 0.5 * newton * bend, 0.3), 3.0)
                y = min(max(x[j] - step, 0.2 * x[j]), x[j] + 0.8 * (PI - x[j]))
                worst = max(worst, abs(y - x[j]) / max(min(x[j], PI - x[j]), 1e-9))
                x[j] = y
            if worst < tolerance:
                break
        for j in range(m):
            if centre[where[j]] < CENTRE:
                x[j] = centre[where[j]] * np.exp(-norm[j])
                x[j] *= 1.0 + k[j] * x[j] * x[j] / 6.0
            z[where[j]] = x[j] if eps[where[j]] >= 0.0 else -x[j]
