"""Standard Gamma on the log scale: y = log z, z ~ Gamma(alpha, 1).

Velocity u = dy/dalpha at fixed noise = -F_alpha / f, where f is the density of y. With w = y - log alpha:

- U (alpha large, |w| < 1): u = (1/alpha) sum_k alpha^-k g_k(w), g_0 = w/(e^w - 1).
- S (lower part): with D = prod_{k<=N}(alpha + k), P = f R / (alpha D), R = sum_n z^n D / ((alpha+1)...(alpha+n));
  u = -(R (y - psi(alpha+N+1)) + dR/dD-part M) / (alpha D).
- C (upper tail): Q = f G, G = 1/(z+1-alpha - 1(1-alpha)/(z+3-alpha - ...)); u = (y - psi(alpha)) G + G_alpha.

The second derivatives u_y and u_alpha come from the same recurrences differentiated once more, in z and in alpha.
The closed form u_y = psi(alpha) - y - u (alpha - z) would cancel: in U its terms are of the size of w against 1/alpha.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.series import (
    BLOCK,
    digamma,
    digamma_tail,
    polynomial,
    put,
    take,
    trigamma,
    trigamma_tail,
)

# terms of the series S: an upper bound c0 + c1 sqrt(z) - c2 alpha - c3 z (alpha <= 12), c4 beyond
TERMS_64 = (7.0, 13.9, 0.255, 0.15, 40.0)
TERMS_32 = (3.5, 10.7, 0.26, 0.05, 22.0)


# rows of the flat scratch, at constant distances so that loops over it need no alias checks
_A, _C, _X, _D, _E, _R, _M, _E2, _M2, _RZ, _MZ = (k * BLOCK for k in range(11))


@jit
def terms_needed(alpha, z, m, bound):
    """Terms that the slowest series of a block needs: a multiple of four, >= 16."""
    c0, c1, c2, c3, c4 = bound
    most = 16.0
    for i in range(m):
        n = c0 + c1 * np.sqrt(z[i]) - c2 * alpha[i] - c3 * z[i] if alpha[i] <= 12.0 else c4
        most = max(most, n)
    return 4 * int(0.25 * most + 0.999)


@jit
def uniform(tables, lengths, w, alpha, m, second, t, r, u, uy, ua):
    """u = (1/alpha) sum_k alpha^-k g_k(w); u_y with g_k'; u_alpha = -(1/alpha^2) sum_k alpha^-k ((k+1) g_k + g_k').

    The tables hold g_k, g_k' and (k+1) g_k + g_k'.
    """
    for i in range(m):
        r[i] = 1.0 / alpha[i]
    _orders(tables[0], lengths, w, r, m, t, u)
    for i in range(m):
        u[i] *= r[i]
    if second:
        _orders(tables[1], lengths, w, r, m, t, uy)
        _orders(tables[2], lengths, w, r, m, t, ua)
        for i in range(m):
            uy[i] *= r[i]
            ua[i] *= -(r[i] * r[i])


@jit
def _orders(table, lengths, w, r, m, t, out):
    """out = sum_k r^k table_k(w)."""
    for i in range(m):
        out[i] = 0.0
    for k in range(table.shape[0] - 1, -1, -1):
        polynomial(table[k], lengths[k], w, m, t)
        for i in range(m):
            out[i] = out[i] * r[i] + t[i]


@jit
def lower(alpha, y, z, m, second, terms, W, u, uy, ua):
    """The series S. Every factor is scaled by c = 1/max(alpha, 1), so that no product overflows."""
    for i in range(m):
        c = 1.0 / max(alpha[i], 1.0)
        W[_C + i] = c
        W[_A + i] = alpha[i] * c
        W[_X + i] = z[i] * c
        W[_D + i] = 1.0
        W[_R + i] = 1.0
        for row in (_E, _M, _E2, _M2, _RZ, _MZ):
            W[row + i] = 0.0
    if second:
        _lower_sums_second(W, terms, m)
    else:
        _lower_sums(W, terms, m)
    for i in range(m):
        top = alpha[i] + (terms + 1.0)
        L = (y[i] - el.log(top)) - digamma_tail(top)
        R, cM = W[_R + i], W[_C + i] * W[_M + i]
        ad = 1.0 / (alpha[i] * W[_D + i])
        v = -(R * L + cM) * ad
        u[i] = v
        if second:
            uy[i] = -(R + W[_X + i] * (W[_RZ + i] * L + W[_C + i] * W[_MZ + i])) * ad
            inner = cM * L - R * trigamma_tail(top) + W[_C + i] * W[_C + i] * W[_M2 + i]
            ua[i] = -inner * ad - v * (1.0 / alpha[i] + W[_C + i] * W[_E + i] / W[_D + i])


@jit
def _lower_sums(W, terms, m):
    """D, R and their alpha-derivatives E, M (in units of c) over k = terms..1, four terms per pass."""
    for k in range(terms, 0, -4):
        for i in range(m):
            a, c, x = W[_A + i], W[_C + i], W[_X + i]
            d, e, r, s = W[_D + i], W[_E + i], W[_R + i], W[_M + i]
            q = a + k * c
            e, d = d + q * e, q * d
            r, s = d + x * r, e + x * s
            q = a + (k - 1) * c
            e, d = d + q * e, q * d
            r, s = d + x * r, e + x * s
            q = a + (k - 2) * c
            e, d = d + q * e, q * d
            r, s = d + x * r, e + x * s
            q = a + (k - 3) * c
            e, d = d + q * e, q * d
            r, s = d + x * r, e + x * s
            W[_D + i], W[_E + i], W[_R + i], W[_M + i] = d, e, r, s


@jit
def _lower_sums_second(W, terms, m):
    """The same with the second derivatives E2, M2 and with RZ = dR/dx, MZ = dM/dx."""
    for k in range(terms, 0, -1):
        for i in range(m):
            x = W[_X + i]
            d, e, f = W[_D + i], W[_E + i], W[_E2 + i]
            r, s, t = W[_R + i], W[_M + i], W[_M2 + i]
            q = W[_A + i] + k * W[_C + i]
            f, e, d = 2.0 * e + q * f, d + q * e, q * d
            W[_RZ + i] = r + x * W[_RZ + i]
            W[_MZ + i] = s + x * W[_MZ + i]
            W[_D + i], W[_E + i], W[_E2 + i] = d, e, f
            W[_R + i], W[_M + i], W[_M2 + i] = d + x * r, e + x * s, f + x * t


@jit
def upper(alpha, y, z, m, second, levels, W, u, uy, ua):
    """The continued fraction C, evaluated backwards with its derivatives in alpha and, if `second`, in z.

    t_j = j (alpha - j) / (z + 2j + 1 - alpha + t_{j+1}), G = 1 / (z + 1 - alpha + t_1).
    """
    for i in range(m):
        W[_A + i] = alpha[i]
        W[_X + i] = z[i] + 1.0 - alpha[i]
        for row in (_D, _E, _E2, _RZ, _MZ):
            W[row + i] = 0.0
    for j in range(levels, 0, -1):
        for i in range(m):
            t, d = W[_D + i], W[_E + i] - 1.0
            r = 1.0 / (W[_X + i] + 2.0 * j + t)
            t = j * (W[_A + i] - j) * r
            dj = (j - t * d) * r
            if second:
                s = 1.0 + W[_RZ + i]
                W[_RZ + i] = -t * s * r
                W[_MZ + i] = -(W[_RZ + i] * d + t * W[_MZ + i] + dj * s) * r
                W[_E2 + i] = -(2.0 * dj * d + t * W[_E2 + i]) * r
            W[_E + i] = dj
            W[_D + i] = t
    psi, psi1 = W[_R : _R + m], W[_M : _M + m]
    digamma(alpha, m, psi)
    if second:
        trigamma(alpha, m, psi1)
    for i in range(m):
        G = 1.0 / (W[_X + i] + W[_D + i])
        d = (W[_E + i] - 1.0) * G
        L = y[i] - psi[i]
        u[i] = (L - d) * G
        if second:
            s = (1.0 + W[_RZ + i]) * G
            uy[i] = (1.0 - z[i] * (s * (L - 2.0 * d) + W[_MZ + i] * G)) * G
            ua[i] = ((2.0 * d - L) * d - W[_E2 + i] * G - psi1[i]) * G


@jit
def velocity(alpha, y, u, uy, ua, second, tables, lengths, least, bound, levels):
    """Fill u = dy/dalpha (if `second` also u_y and u_alpha); `least` is the smallest alpha of regime U."""
    W, S = np.empty(11 * BLOCK), np.empty((8, BLOCK))
    ga, gy, gz, gu, guy, gua, z, w = S[0], S[1], S[2], S[3], S[4], S[5], S[6], S[7]
    index = np.empty((3, BLOCK), np.int64)
    for start in range(0, alpha.size, BLOCK):
        n = min(BLOCK, alpha.size - start)
        a, yy = alpha[start : start + n], y[start : start + n]
        for i in range(n):
            z[i] = el.exp(min(yy[i], 690.0))
            w[i] = yy[i] - el.log(a[i])
        count = sort_regimes(a, z, w, n, least, index)
        for regime in range(3):
            m = count[regime]
            if m == 0:
                continue
            take(a, index[regime], m, ga)
            take(w if regime == 0 else yy, index[regime], m, gy)
            take(z, index[regime], m, gz)
            if regime == 0:
                uniform(tables, lengths, gy, ga, m, second, W[_A:], W[_C:], gu, guy, gua)
            elif regime == 1:
                lower(ga, gy, gz, m, second, terms_needed(ga, gz, m, bound), W, gu, guy, gua)
            else:
                upper(ga, gy, gz, m, second, levels, W, gu, guy, gua)
            put(gu, index[regime], m, u[start : start + n])
            if second:
                put(guy, index[regime], m, uy[start : start + n])
                put(gua, index[regime], m, ua[start : start + n])


@jit
def sort_regimes(alpha, z, w, n, least, index):
    """List the members of U, S and C in the rows of `index`; return how many each has."""
    nu, ns, nc = 0, 0, 0
    for i in range(n):
        if alpha[i] >= least and abs(w[i]) < 1.0:
            index[0, nu] = i
            nu += 1
        elif z[i] < 3.5 + 1.5 * alpha[i]:
            index[1, ns] = i
            ns += 1
        else:
            index[2, nc] = i
            nc += 1
    return nu, ns, nc
