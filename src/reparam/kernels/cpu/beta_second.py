"""Second-order velocities of the Beta law on the logit scale: ga = dxi/da, gb = dxi/db and their slopes in xi, a, b.

The regimes are those of `beta`, reflected likewise so that x <= 1/2. With R or K of S and C and their derivatives in
xi, a, b carried along by the same recurrences ("jets": R, R_xi, R_a, R_b, R_xia, R_xib, R_aa, R_ab, R_bb), and
la = d log(f/a)/da (S) or d log f/da (C), lb = d log f/db, whose slopes in xi are y and -x,

    S   ga = -Wa/a, gb = -Wb/a     Wa = R la + R_a, Wb = R lb + R_b
    C   ga = Wa, gb = Wb           the same of K
    U   ga = alpha G, gb = -beta G'    alpha = 1/a, sigma = 1/S, G = sum_ij alpha^i sigma^j c_ij(w)

so that w_xi = y, w_a = -b alpha sigma, w_b = sigma give the slopes of U by those of the polynomials. C begins at
xS = 1.5 + 1.2a, where it is by far the most accurate, and M takes what is below for all a < .1: gb is of order 1
there, and in S a difference of terms of order 1/a.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.beta import psi_gap, terms_needed
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.series import BLOCK, polynomial, trigamma_tail

STEPS, LEVELS = 48.0, 64  # a derivative's series is longer than that of the number
LEAST = 20.0  # of U
TERMS_M = 64


@jit(forceinline=True)
def trigamma(x):
    """psi'(x) for x > 0."""
    total = 0.0
    for k in range(15):
        t = 1.0 / (x + k)
        total += t * t
    return total + trigamma_tail(x + 15.0)


@jit(forceinline=True)
def trigamma_gap(b, a, s):
    """psi'(s) - psi'(b), s = b + a, with a relative error also for small a: fifteen steps up, then sum_n c_n x^-n.

    With q = 1/(s + 15), r = 1/(b + 15): q^n - r^n = (q - r) h_n, h_{n+2} = q^2 h_n + (q + r) r^n.
    """
    total = 0.0
    for k in range(15):
        u, v = b + k, s + k
        total += (u + v) / (u * u * v * v)
    q, r = 1.0 / (s + 15.0), 1.0 / (b + 15.0)
    qq, rr, sums, power = q * q, r * r, q + r, r
    tail, h = 1.0 + 0.5 * sums, 1.0
    for c in (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6):
        h = qq * h + sums * power
        power *= rr
        tail += c * h
    return -a * (total + q * r * tail)


@jit(forceinline=True)
def trigamma_rest(b, a, s):
    """psi'(s) - (psi(s) - psi(b))/a for s = b + a, a < .1, relative to its size a/2 psi''(b).

    After fifteen steps up, with q = 1/(s + 15), r = 1/(b + 15), u = a q: the logarithm of psi gives
    -q (u/2 + u^2/3 + ..), and c x^-n gives a c q^2 r e_n, e_{n+1} = h_{n+1} + q e_n, h_{n+1} = q h_n + r^n.
    """
    total = 0.0
    for k in range(15):
        v = s + k
        total += 1.0 / (v * v * (b + k))
    q, r = 1.0 / (s + 15.0), 1.0 / (b + 15.0)
    u, logarithm = a * q, 0.0
    for n in range(10, 1, -1):
        logarithm = (logarithm + 1.0 / n) * u if n > 2 else logarithm + 1.0 / n
    h, e, power, tail = 1.0, 1.0, r, -0.5
    for c in (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12):
        h = q * h + power
        e = h + q * e
        power *= r
        tail += c * e
        h = q * h + power
        e = h + q * e
        power *= r
    return a * (q * q * (r * tail - logarithm) - total)


@jit(forceinline=True)
def terms(a, b, x):
    """Terms of S: those of `beta.terms_needed`, or fewer where the ratio of the terms stays below 1 all along."""
    most = terms_needed(a, b, x, STEPS)
    ratio = max(x * (a + b) / (a + 1.0), x, 1e-12)
    if ratio < 0.9:
        most = min(most, 4.0 + STEPS / max(-el.log(ratio), 0.1))
    return int(most) + 1


@jit
def lower_jet(a, b, x, y):
    """R of S and its derivatives, from the last term on: R_k = 1 + p R_{k+1}, p = x (S + k - 1)/(a + k)."""
    R, Rs, Ra, Rb, Rsa, Rsb, Raa, Rab, Rbb = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    s = a + b - 1.0
    for k in range(terms(a, b, x), 0, -1):
        q = 1.0 / (a + k)
        p, pb = x * (s + k) * q, x * q
        pa = pb * q * (1.0 - b)
        up = y * R + Rs  # of p R in xi: p (y R + R_xi)
        Rsa, Rsb = pa * up + p * (y * Ra + Rsa), pb * up + p * (y * Rb + Rsb)
        Raa = 2.0 * pa * (Ra - q * R) + p * Raa
        Rab = pa * Rb + pb * (Ra - q * R) + p * Rab
        Rbb = 2.0 * pb * Rb + p * Rbb
        Rs, Ra, Rb = p * up, pa * R + p * Ra, pb * R + p * Rb
        R = 1.0 + p * R
    return R, Rs, Ra, Rb, Rsa, Rsb, Raa, Rab, Rbb


@jit(forceinline=True)
def level(A, B, X, Y, n, t):
    """One level of K = 1/(beta_1 + alpha_2/(beta_2 + ..)) (see `beta.fraction`): the jet of alpha/(beta + t).

    alpha = u m v, u = (A+n-1)(S+n-1), m = B - n, v = n X^2 q^2, q = 1/(A+2n-1); beta = n + k m + g h, k = n X q,
    g = (A+n)/(A+2n+1), h = A Y - B X + 1 + n(1+Y). Slopes in X and Y are along xi: X_xi = -X Y, Y_xi = X Y.
    """
    T, Ts, Ta, Tb, Tsa, Tsb, Taa, Tab, Tbb = t
    q, r, z, m, c = 1.0 / (A + (2.0 * n - 1.0)), 1.0 / (A + (2.0 * n + 1.0)), X * Y, B - n, A + (n - 1.0)
    u, v, k = c * (A + B + (n - 1.0)), n * X * X * q * q, n * X * q
    ua = c + (A + B + (n - 1.0)) - 2.0 * u * q  # u_A - 2 q u
    N, Na, Nb = u * m * v, m * v * ua, v * (c * m + u)
    Naa, Nab = m * v * (2.0 - 4.0 * q * (ua + 0.5 * u * q)), v * (m * (1.0 - 2.0 * q * c) + ua)
    g, h = (A + n) * r, A * Y - B * X + 1.0 + n * (1.0 + Y)
    ga, hs = (n + 1.0) * r * r, z * (A + B + n)
    D, Da, Db = n + k * m + g * h + T, g * Y + ga * h - q * k * m + Ta, k - g * X + Tb
    Ds, Dsa = g * hs - Y * k * m + Ts, Y * q * k * m + ga * hs + g * z + Tsa
    Dsb, Dab = g * z - Y * k + Tsb, -q * k - ga * X + Tab
    Daa = 2.0 * q * q * k * m + 2.0 * ga * (Y - r * h) + Taa
    r = 1.0 / D
    T = N * r
    Ts, Ta, Tb = (-2.0 * Y * N - T * Ds) * r, (Na - T * Da) * r, (Nb - T * Db) * r
    Tsa = (-2.0 * Y * Na - Ts * Da - Ta * Ds - T * Dsa) * r
    Tsb = (-2.0 * Y * Nb - Ts * Db - Tb * Ds - T * Dsb) * r
    Taa = (Naa - 2.0 * Ta * Da - T * Daa) * r
    Tab = (Nab - Ta * Db - Tb * Da - T * Dab) * r
    Tbb = (2.0 * v * c - 2.0 * Tb * Db - T * Tbb) * r
    return T, Ts, Ta, Tb, Tsa, Tsb, Taa, Tab, Tbb


@jit
def upper_jet(a, b, x, y):
    """K of C and its derivatives in xi, a, b: that of I_y(b, a), its last level alone being without alpha's slopes."""
    A, B, X, Y = b, a, y, x
    t = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for n in range(LEVELS, 0, -1):
        t = level(A, B, X, Y, float(n), t)
    T, Ts, Ta, Tb, Tsa, Tsb, Taa, Tab, Tbb = t
    r, z, h = 1.0 / (A + 1.0), X * Y, A * Y - B * X + 1.0
    g, ga = A * r, r * r
    K = 1.0 / (g * h + T)
    Ds, Da, Db = g * z * (A + B) + Ts, ga * h + g * Y + Ta, -g * X + Tb
    Dsa, Dsb = ga * z * (A + B) + g * z + Tsa, g * z + Tsb
    Daa, Dab = 2.0 * ga * (Y - r * h) + Taa, -ga * X + Tab
    Ks, Ka, Kb = -K * K * Ds, -K * K * Da, -K * K * Db
    Ksa, Ksb = -K * (Ks * Da + Ka * Ds + K * Dsa), -K * (Ks * Db + Kb * Ds + K * Dsb)
    Kaa, Kab = -K * (2.0 * Ka * Da + K * Daa), -K * (Ka * Db + Kb * Da + K * Dab)
    Kbb = -K * (2.0 * Kb * Db + K * Tbb)
    return K, Ks, Kb, Ka, Ksb, Ksa, Kbb, Kab, Kaa


@jit(forceinline=True)
def weigh(x, y, jet, la, lb, laa, lab, lbb):
    """Wa, Wb and the slopes in xi, a, b of Wa, then of Wb."""
    R, Rs, Ra, Rb, Rsa, Rsb, Raa, Rab, Rbb = jet
    return (
        R * la + Ra,
        R * lb + Rb,
        Rs * la + R * y + Rsa,
        Ra * la + R * laa + Raa,
        Rb * la + R * lab + Rab,
        Rs * lb - R * x + Rsb,
        Ra * lb + R * lab + Rab,
        Rb * lb + R * lbb + Rbb,
    )


@jit
def lower(a, b, x, y, logx, logy):
    """S."""
    s, r = a + b, 1.0 / a
    la, laa = logx + psi_gap(a + 1.0, b - 1.0, s), trigamma_gap(a + 1.0, b - 1.0, s)
    lb, lbb = logy + psi_gap(b, a, s), trigamma_gap(b, a, s)
    wa, wb, was, waa, wab, wbs, wba, wbb = weigh(x, y, lower_jet(a, b, x, y), la, lb, laa, trigamma(s), lbb)
    return -wa * r, -wb * r, -was * r, (wa * r - waa) * r, -wab * r, -wbs * r, (wb * r - wba) * r, -wbb * r


@jit
def upper(a, b, x, y, logx, logy):
    """C."""
    s = a + b
    la, laa = logx + psi_gap(a, b, s), trigamma_gap(a, b, s)
    lb, lbb = logy + psi_gap(b, a, s), trigamma_gap(b, a, s)
    return weigh(x, y, upper_jet(a, b, x, y), la, lb, laa, trigamma(s), lbb)


@jit
def small_jet(a, b, x, y):
    """T = sum_n p_n/(a + n), p_n = (1-b)_n x^n/n!, and its derivatives."""
    T, Ts, Ta, Tb, Tsa, Tsb, Taa, Tab, Tbb = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    p, dp, ddp = 1.0, 0.0, 0.0
    for n in range(1, TERMS_M):
        r, q, c = x / n, 1.0 / (a + n), n - b
        ddp = (ddp * c - 2.0 * dp) * r
        dp = (dp * c - p) * r
        p = p * c * r
        T, Ta, Taa = T + p * q, Ta - p * q * q, Taa + 2.0 * p * q * q * q
        Tb, Tab, Tbb = Tb + dp * q, Tab - dp * q * q, Tbb + ddp * q
        Ts, Tsa, Tsb = Ts + n * p * q, Tsa - n * p * q * q, Tsb + n * dp * q
    return T, y * Ts, Ta, Tb, y * Tsa, y * Tsb, Taa, Tab, Tbb


@jit
def small(a, b, x, y, logx, logy):
    """M: ga = scale Ga, gb = scale Gb, scale = -y^-b/a, F = 1 + a T, Ga = F la + F_a, Gb = F gap + a T_b."""
    T, Ts, Ta, Tb, Tsa, Tsb, Taa, Tab, Tbb = small_jet(a, b, x, y)
    s = a + b
    F, Fa, Fs, Fb = 1.0 + a * T, T + a * Ta, a * Ts, a * Tb
    la, laa = logx + psi_gap(a + 1.0, b - 1.0, s), trigamma_gap(a + 1.0, b - 1.0, s)
    gap, gap_b = psi_gap(b, a, s), trigamma_gap(b, a, s)
    Ga, Gb = F * la + Fa, F * gap + Fb
    scale, bend = -el.exp(-b * logy) / a, b * x
    return (
        scale * Ga,
        scale * Gb,
        scale * (Ga * bend + Fs * la + F * y + Ts + a * Tsa),
        scale * (Fa * la + F * laa + 2.0 * Ta + a * Taa - Ga / a),
        scale * (Fb * la + F * trigamma(s) + Tb + a * Tab - logy * Ga),
        scale * (Gb * bend + Fs * gap + a * Tsb),
        scale * (Fa * gap + F * trigamma_rest(b, a, s) + a * Tab),
        scale * (Fb * gap + F * gap_b + a * Tbb - logy * Gb),
    )


@jit
def uniform(table, slopes, lengths, powers, w, alpha, sigma, m, G):
    """Rows 0..3 of G: G, G_w, G_alpha, G_sigma; Horner in alpha for each power of sigma, then in sigma."""
    out, out_w, out_a, out_s = G[0], G[1], G[2], G[3]
    inner, inner_w, inner_a, p, pw = G[4], G[5], G[6], G[7], G[8]
    for row in range(9):
        for i in range(m):
            G[row, i] = 0.0
    for row in range(table.shape[0]):
        polynomial(table[row], lengths[row], w, m, p)
        polynomial(slopes[row], lengths[row], w, m, pw)
        for i in range(m):
            inner_a[i] = inner_a[i] * alpha[i] + inner[i]
            inner[i] = inner[i] * alpha[i] + p[i]
            inner_w[i] = inner_w[i] * alpha[i] + pw[i]
        if powers[row, 0] == 0:
            for i in range(m):
                out_s[i] = out_s[i] * sigma[i] + out[i]
                out[i] = out[i] * sigma[i] + inner[i]
                out_w[i] = out_w[i] * sigma[i] + inner_w[i]
                out_a[i] = out_a[i] * sigma[i] + inner_a[i]
                inner[i], inner_w[i], inner_a[i] = 0.0, 0.0, 0.0


@jit
def central(a, b, x, wa, wb, m, tables, G, out):
    """U for a block: rows of out as in `weigh`."""
    table, slopes, lengths, powers = tables
    alpha, sigma = G[9], G[10]
    for side in range(2):
        p, q, w = (a, b, wa) if side == 0 else (b, a, wb)
        own, other = (3, 4) if side == 0 else (7, 6)
        sign = 1.0 if side == 0 else -1.0
        for i in range(m):
            alpha[i], sigma[i] = 1.0 / p[i], 1.0 / (a[i] + b[i])
        uniform(table, slopes, lengths, powers, w, alpha, sigma, m, G)
        for i in range(m):
            r, t = sign * alpha[i], sigma[i]
            Gw, bend = G[1, i], t * t * G[3, i]
            out[side, i] = r * G[0, i]
            out[2 + 3 * side, i] = alpha[i] * Gw * ((1.0 - x[i]) if side == 0 else x[i])
            own_slope = alpha[i] * (G[0, i] + q[i] * t * Gw + alpha[i] * G[2, i]) + bend
            out[own, i] = -r * own_slope
            out[other, i] = r * (t * Gw - bend)


@jit(forceinline=True)
def regime(a, b, x, y, logx, logy):
    """The numbers of `weigh` outside U."""
    if x * (a + b) >= 1.5 + 1.2 * a:
        return upper(a, b, x, y, logx, logy)
    if a < 0.1:
        return small(a, b, x, y, logx, logy)
    return lower(a, b, x, y, logx, logy)


@jit(forceinline=True)
def store(values, flip, i, outs):
    """Put the numbers of `weigh` back: for x > 1/2, ga = -gB, gb = -gA, and xi changed its sign."""
    va, vb, vas, vaa, vab, vbs, vba, vbb = outs
    ga, gb, gas, gaa, gab, gbs, gba, gbb = values
    va[i], vb[i] = (-gb, -ga) if flip else (ga, gb)
    vas[i], vbs[i] = (gbs, gas) if flip else (gas, gbs)
    vaa[i], vab[i] = (-gbb, -gba) if flip else (gaa, gab)
    vba[i], vbb[i] = (-gab, -gaa) if flip else (gba, gbb)


@jit
def velocity(a, b, xi, outs, tables):
    """Fill va, vb, then the slopes of va in xi, a, b, then those of vb."""
    Z, G, out, rows = (
        np.empty((5, BLOCK)),
        np.empty((11, BLOCK)),
        np.empty((8, BLOCK)),
        np.empty(BLOCK, np.int64),
    )
    A, B, X, wa, wb = Z[0], Z[1], Z[2], Z[3], Z[4]
    for start in range(0, a.size, BLOCK):
        m = 0
        for i in range(start, min(start + BLOCK, a.size)):
            flip = xi[i] > 0.0
            p, q = (b[i], a[i]) if flip else (a[i], b[i])
            e = el.exp(-abs(xi[i]))
            y = 1.0 / (1.0 + e)
            x = e * y
            gap = x * q - y * p
            u, v = el.log1p(gap / p), el.log1p(-gap / q)
            if min(p, q) >= LEAST and abs(u) < 1.0 and abs(v) < 1.0:
                A[m], B[m], X[m], wa[m], wb[m], rows[m] = p, q, x, u, v, i
                m += 1
            else:
                logy = -el.log1p(e)
                store(regime(p, q, x, y, logy - abs(xi[i]), logy), flip, i, outs)
        if m > 0:
            central(A, B, X, wa, wb, m, tables, G, out)
        for j in range(m):
            values = (
                out[0, j], out[1, j], out[2, j], out[3, j], out[4, j], out[5, j], out[6, j], out[7, j],
            )  # fmt: skip
            store(values, xi[rows[j]] > 0.0, rows[j], outs)
