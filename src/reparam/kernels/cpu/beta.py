"""Beta on the logit scale: xi = log(x/y), y = 1 - x, x ~ Beta(a, b); S = a + b, mu = a/S.

Velocities ga = dxi/da and gb = dxi/db at fixed noise. Elements are reflected so that x <= 1/2 (x <-> y, a <-> b,
xi <-> -xi). With f the density of xi:

- U (a, b large, |w| < 1 on both sides): ga = (1/a) sum_ij a^-i S^-j c_ij(w), w = log(x/mu); gb is minus the same
  sum at (b, log(y/(1-mu))).
- S (xS < 2.2 + 1.2a): I_x = f R/a, R = sum_n (S)_n/(a+1)_n x^n;
  ga = -[R (log x - psi(a+1) + psi(S)) + R_a]/a, gb = -[R (log y - psi(b) + psi(S)) + R_b]/a.
- M (a < .1 and xS > .1): I_x = x^a (1 + a T)/(a B(a, b)), T = sum_n (1-b)_n x^n/((a+n) n!), in which everything
  that vanishes with a carries a factor a.
- C (upper tail): 1 - I_x = f K, K the continued fraction of DiDonato and Morris for I_y(b, a).
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.series import BLOCK, digamma, digamma_tail, polynomial, take

_A, _C, _X, _S, _D, _E, _R, _M, _N = (k * BLOCK for k in range(9))
_T, _TA, _TB, _P, _DP = (k * BLOCK for k in range(5))
MOST_PRODUCTS = 140.0  # terms of S whose products stay far from overflow


@jit(forceinline=True)
def psi_gap(b, a, s):
    """psi(s) - psi(b), s = b + a, with a relative error also for small a."""
    total = 0.0
    for k in range(15):
        total += 1.0 / ((b + k) * (s + k))
    B = b + 15.0
    h = a / B
    # psi(B + a) - psi(B) = log1p(a/B) + sum_k d_k ((B+a)^-k - B^-k); the difference of the sums is small
    r, q = 1.0 / B, 1.0 / (s + 15.0)
    d = -a * r * q  # q - r
    s1, p1 = q + r, q * r
    s2, p2 = q * q + r * r, p1 * p1
    bend = -0.5 * d - d * s1 / 12.0 + d * s1 * s2 / 120.0 - d * s1 * (s2 * s2 - p2) / 252.0
    bend += d * s1 * s2 * (s2 * s2 - 2.0 * p2) / 240.0
    return el.log1p(h) + bend + a * total


@jit
def digamma_gap(b, a, m, out):
    """out = psi(b + a) - psi(b)."""
    for i in range(m):
        out[i] = psi_gap(b[i], a[i], b[i] + a[i])


@jit
def uniform(table, lengths, powers, w, a, S, m, t, inner, out):
    """out = (1/a) sum_ij a^-i S^-j c_ij(w): Horner in 1/a for each power of 1/S, then in 1/S."""
    for i in range(m):
        out[i] = 0.0
        inner[i] = 0.0
        a[i] = 1.0 / a[i]
        S[i] = 1.0 / S[i]
    for row in range(table.shape[0]):
        polynomial(table[row], lengths[row], w, m, t)
        for i in range(m):
            inner[i] = inner[i] * a[i] + t[i]
        if powers[row, 0] == 0:
            for i in range(m):
                out[i] = out[i] * S[i] + inner[i]
                inner[i] = 0.0
    for i in range(m):
        out[i] *= a[i]


@jit(forceinline=True)
def terms_needed(a, b, x, steps):
    """Terms of S until they fall below e^-steps: an upper bound.

    Once past the turn n = xS - a, the terms fall like exp(-n^2 (1-x)/(2(a+n))), and from any n on by the factor
    x (S+n)/(a+1+n) each, which falls towards x.
    """
    excess = max(x * (a + b) - a, 0.0)
    slope = 1.0 - x
    n = (0.667 * steps + np.sqrt(0.445 * steps * steps + 2.0 * slope * steps * a)) / slope + 2.0 * excess
    far = 12.0 + 4.0 * excess + a
    ratio = x * (a + b + far) / (a + 1.0 + far)
    return max(min(n, far + steps / max(-el.log(max(ratio, 1e-12)), 0.05)), 16.0)


@jit
def most_terms(a, b, x, m, steps):
    """Terms that the slowest element of a block needs: a multiple of two."""
    most = 16.0
    for i in range(m):
        most = max(most, terms_needed(a[i], b[i], x[i], steps))
    return 2 * int(0.5 * most + 1.0)


@jit
def lower(a, b, x, logx, logy, m, terms, W, gap, ga, gb):
    """S, division-free: D = prod (a+k), R = sum with S+k-1 in the numerators, E = D_a, M = R_a, N = R_b."""
    for i in range(m):
        c = 1.0 / max(a[i], 1.0)
        W[_C + i] = c
        W[_A + i] = a[i] * c
        W[_X + i] = x[i] * c
        W[_S + i] = a[i] + b[i]
        W[_D + i] = 1.0
        W[_R + i] = 1.0
        W[_E + i] = 0.0
        W[_M + i] = 0.0
        W[_N + i] = 0.0
    for k in range(terms, 0, -2):
        for i in range(m):
            a0, c, x0, s = W[_A + i], W[_C + i], W[_X + i], W[_S + i]
            d, e, r, ra, rb = W[_D + i], W[_E + i], W[_R + i], W[_M + i], W[_N + i]
            q, p = a0 + k * c, x0 * (s + (k - 1))
            e, d = c * d + q * e, q * d
            ra, rb = e + x0 * r + p * ra, x0 * r + p * rb
            r = d + p * r
            q, p = a0 + (k - 1) * c, x0 * (s + (k - 2))
            e, d = c * d + q * e, q * d
            ra, rb = e + x0 * r + p * ra, x0 * r + p * rb
            r = d + p * r
            W[_D + i], W[_E + i], W[_R + i], W[_M + i], W[_N + i] = d, e, r, ra, rb
    digamma(W[_S:], m, W[_C:])
    for i in range(m):
        top = a[i] + (terms + 1.0)
        r = 1.0 / (a[i] * W[_D + i])
        La = logx[i] + W[_C + i] - el.log(top) - digamma_tail(top)
        ga[i] = -(W[_R + i] * La + W[_M + i]) * r
        gb[i] = -(W[_R + i] * (logy[i] + gap[i]) + W[_N + i]) * r


@jit
def long_lower(a, b, x, logx, logy, m, terms, W, gap, ga, gb):
    """S where the products of `lower` would overflow: one division per term."""
    for i in range(m):
        W[_A + i] = a[i] + 1.0
        W[_S + i] = a[i] + b[i]
        W[_R + i], W[_M + i], W[_N + i] = 1.0, 0.0, 0.0
    for k in range(terms, 0, -1):
        for i in range(m):
            r = W[_R + i]
            q = 1.0 / (a[i] + k)
            p = x[i] * (W[_S + i] + (k - 1)) * q
            W[_M + i] = (x[i] - p) * q * r + p * W[_M + i]
            W[_N + i] = x[i] * q * r + p * W[_N + i]
            W[_R + i] = 1.0 + p * r
    digamma(W[_S:], m, W[_C:])
    digamma(W[_A:], m, W[_D:])
    for i in range(m):
        ga[i] = -(W[_R + i] * (logx[i] - W[_D + i] + W[_C + i]) + W[_M + i]) / a[i]
        gb[i] = -(W[_R + i] * (logy[i] + gap[i]) + W[_N + i]) / a[i]


@jit
def small(a, b, x, logx, logy, m, W, gap, ga, gb):
    """M: T and its derivatives; gap = psi(S) - psi(b) is of order a."""
    for i in range(m):
        for row in (_T, _TA, _TB, _DP):
            W[row + i] = 0.0
        W[_P + i] = 1.0
    for n in range(1, 56):
        r = 1.0 / n
        for i in range(m):
            p, dp = W[_P + i], W[_DP + i]
            xr = x[i] * r
            dp = (dp * (n - b[i]) - p) * xr
            p = p * (n - b[i]) * xr
            q = 1.0 / (a[i] + n)
            W[_T + i] += p * q
            W[_TA + i] -= p * q * q
            W[_TB + i] += dp * q
            W[_P + i], W[_DP + i] = p, dp
    one, psi1, psis = W[5 * BLOCK :], W[6 * BLOCK :], W[7 * BLOCK :]
    for i in range(m):
        one[i] = 1.0 + a[i]
        W[8 * BLOCK + i] = a[i] + b[i]
    digamma(one, m, psi1)
    digamma(W[8 * BLOCK :], m, psis)
    for i in range(m):
        F = 1.0 + a[i] * W[_T + i]
        scale = el.exp(-b[i] * logy[i]) / a[i]  # F/f = scale * F
        ga[i] = -scale * (F * (logx[i] - psi1[i] + psis[i]) + W[_T + i] + a[i] * W[_TA + i])
        gb[i] = -scale * (F * gap[i] + a[i] * W[_TB + i])


@jit
def fraction(A, B, X, Y, m, levels, W):
    """K of I_X(A, B) = X^A Y^B/B(A, B) K and its derivatives in A and B, into rows _T, _TA, _TB of W.

    K = 1/(beta_1 + alpha_2/(beta_2 + ...)), alpha_{n+1} = (A+n-1)(S+n-1) n (B-n) X^2/(A+2n-1)^2,
    beta_{n+1} = n + n(B-n)X/(A+2n-1) + (A+n)/(A+2n+1) (A - SX + 1 + n(1+Y)).
    """
    for i in range(m):
        W[_T + i] = 0.0
        W[_TA + i] = 0.0
        W[_TB + i] = 0.0
        W[_P + i] = 1.0 / (A[i] + 2.0 * levels + 1.0)
    for n in range(levels, -1, -1):
        for i in range(m):
            a, b, x, y = A[i], B[i], X[i], Y[i]
            s = a + b
            q1 = W[_P + i]  # 1/(a + 2n + 1)
            q0 = 1.0 / (a + (2.0 * n - 1.0)) if n > 0 else 0.0
            W[_P + i] = q0
            g, ga = (a + n) * q1, (n + 1.0) * q1 * q1
            h = a * y - b * x + 1.0 + n * (1.0 + y)
            k = n * x * q0
            den = n + k * (b - n) + g * h + W[_T + i]
            dena = -k * q0 * (b - n) + ga * h + g * y + W[_TA + i]
            denb = k - g * x + W[_TB + i]
            r = 1.0 / den
            if n > 0:
                u, v = (a + (n - 1.0)) * (s + (n - 1.0)), k * x * q0
                num = u * (b - n) * v
                numa = ((s + (n - 1.0)) + (a + (n - 1.0)) - 2.0 * u * q0) * (b - n) * v
                numb = ((a + (n - 1.0)) * (b - n) + u) * v
            else:
                num, numa, numb = 1.0, 0.0, 0.0
            t = num * r
            W[_TA + i] = (numa - t * dena) * r
            W[_TB + i] = (numb - t * denb) * r
            W[_T + i] = t


@jit
def upper(a, b, x, y, logx, logy, m, levels, W, gap, ga, gb):
    """C: v = F_theta-free form; ga = K (log x - psi(a) + psi(S)) + K_a, with K of I_y(b, a)."""
    fraction(b, a, y, x, m, levels, W)
    gap_a = W[5 * BLOCK :]
    digamma_gap(a, b, m, gap_a)
    for i in range(m):
        ga[i] = W[_T + i] * (logx[i] + gap_a[i]) + W[_TB + i]
        gb[i] = W[_T + i] * (logy[i] + gap[i]) + W[_TA + i]


@jit
def reflect(a, b, xi, n, A, B, X, Y, logx, logy):
    """Reflect a block so that x <= 1/2: fill A, B, X, Y, log X, log Y."""
    for i in range(n):
        flip = xi[i] > 0.0
        A[i] = b[i] if flip else a[i]
        B[i] = a[i] if flip else b[i]
        e = el.exp(-abs(xi[i]))
        Y[i] = 1.0 / (1.0 + e)
        X[i] = e * Y[i]
        logy[i] = -el.log1p(e)
        logx[i] = logy[i] - abs(xi[i])


@jit(forceinline=True)
def lower_end(a):
    """x S up to which S is used; M, which takes its place for a < .1, ends at 2.2 too."""
    return 2.2 + 1.2 * a if a >= 0.1 else 2.2


@jit
def sort_regimes(A, B, X, Y, wx, wy, n, least, steps, index):
    """Fill the log ratios wx = log(x/mu), wy = log(y/(1-mu)) and list U, S, M, C, long S; return the counts."""
    nu, ns, nm, nc, nl = 0, 0, 0, 0, 0
    for i in range(n):
        gap = X[i] * B[i] - Y[i] * A[i]
        wx[i] = el.log1p(gap / A[i])
        wy[i] = el.log1p(-gap / B[i])
    for i in range(n):
        xs = X[i] * (A[i] + B[i])
        if min(A[i], B[i]) >= least and abs(wx[i]) < 1.0 and abs(wy[i]) < 1.0:
            index[0, nu] = i
            nu += 1
        elif A[i] < 0.1 and xs > 0.1 and xs < 2.2:
            index[2, nm] = i
            nm += 1
        elif xs >= lower_end(A[i]):
            index[3, nc] = i
            nc += 1
        elif terms_needed(A[i], B[i], X[i], steps) <= MOST_PRODUCTS:
            index[1, ns] = i
            ns += 1
        else:
            index[4, nl] = i
            nl += 1
    return nu, ns, nm, nc, nl


@jit
def velocity(a, b, xi, da, db, table, lengths, powers, least, steps, levels):
    """Fill da = dxi/da and db = dxi/db at fixed noise."""
    W, Z = np.empty(9 * BLOCK), np.empty((8, BLOCK))
    index = np.empty((5, BLOCK), np.int64)
    A, B, X, Y, lx, ly, wx, wy = Z[0], Z[1], Z[2], Z[3], Z[4], Z[5], Z[6], Z[7]
    G = np.empty((10, BLOCK))
    g0, g1, g2, g3, g4, g5, gap, oa, ob = G[0], G[1], G[2], G[3], G[4], G[5], G[6], G[7], G[8]
    for start in range(0, a.size, BLOCK):
        n = min(BLOCK, a.size - start)
        reflect(a[start:], b[start:], xi[start:], n, A, B, X, Y, lx, ly)
        count = sort_regimes(A, B, X, Y, wx, wy, n, least, steps, index)
        for regime in range(5):
            m, rows = count[regime], index[regime]
            if m == 0:
                continue
            take(A, rows, m, g0)
            take(B, rows, m, g1)
            if regime == 0:
                for side in range(2):
                    take(A if side == 0 else B, rows, m, g0)
                    for j in range(m):
                        g1[j] = A[rows[j]] + B[rows[j]]
                    take(wx if side == 0 else wy, rows, m, g2)
                    uniform(table, lengths, powers, g2, g0, g1, m, g3, g4, oa if side == 0 else ob)
                for j in range(m):
                    ob[j] = -ob[j]
            else:
                take(X, rows, m, g2)
                take(Y, rows, m, g5)
                take(lx, rows, m, g3)
                take(ly, rows, m, g4)
                digamma_gap(g1, g0, m, gap)
                if regime == 1:
                    lower(g0, g1, g2, g3, g4, m, most_terms(g0, g1, g2, m, steps), W, gap, oa, ob)
                elif regime == 4:
                    long_lower(g0, g1, g2, g3, g4, m, most_terms(g0, g1, g2, m, steps), W, gap, oa, ob)
                elif regime == 2:
                    small(g0, g1, g2, g3, g4, m, W, gap, oa, ob)
                else:
                    upper(g0, g1, g2, g5, g3, g4, m, levels, W, gap, oa, ob)
            for j in range(m):
                i = start + rows[j]
                flip = xi[i] > 0.0
                da[i] = -ob[j] if flip else oa[j]
                db[i] = -oa[j] if flip else ob[j]
