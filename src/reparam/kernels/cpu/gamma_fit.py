"""Gamma quantile and velocity by fitted polynomials in two variables: Y to 1e-9, v to 2e-9 relative.

    y(alpha, eps) = log z, P(alpha, z) = Phi(eps);   v = dy/dalpha at fixed eps;   Y = y - log max(alpha, 1)

Pieces, each with coordinates s, t in [-1, 1] (k = 1/alpha, x = eps/sqrt(alpha)):

    near, middle, low, high   k <= 1/7, 2/5, 1, 1 (low: eps < 0, high: eps >= 0)
             Y = Y(k, x), alpha v = V(k, x)
    power    alpha < 1, P = e^(-alpha c) with p = e^-c <= EDGE (always so for eps < 0)
             y = H(alpha, p) - c, v = (c/alpha) A + B(alpha, p), A = alpha P/f = e^(z - alpha H) Gamma(1 + alpha)
    tail     alpha < 1, p > EDGE, m = -log c, r = m/(m + 4)
             y = Y(alpha, r), alpha v = V(alpha, r)

What lies further out than the pieces reach (2 in 10,000 normal draws at the most) is left to the caller. Good enough
for single precision as it is, and a start from which one Halley step gives double precision. The tables come from
scripts/fit_gamma.py. A number never depends on its neighbours in the block.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.series import polynomial, put, take

BLOCK = 1024
CUTS = (1.0, 2.5, 7.0)  # of alpha
REACH = 3.9  # |eps| up to which a piece is used at its smallest alpha
EDGE = 0.65  # of p between `power` and `tail`
LONGEST_TAIL = 9.0  # of m
PIECES = ("near", "middle", "low", "high", "power", "tail")
VALUES = (("y", "v"), ("y", "v"), ("y", "v"), ("y", "v"), ("h", "b"), ("y", "v"))
NEAR, MIDDLE, LOW, HIGH, POWER, TAIL, OUTSIDE = range(7)
LISTS = 9  # of the index: one per piece, what is outside, and two for the parts of TAIL
X_NEAR, X_MIDDLE, X_LOW = 1.1 * REACH / np.sqrt(CUTS[2]), REACH / np.sqrt(CUTS[1]), REACH / np.sqrt(CUTS[0])
K_NEAR, K_MIDDLE = 1.0 / CUTS[2], 1.0 / CUTS[1]
ROWS = 12  # of the scratch


@jit
def bivariate(table, lengths, s, t, m, out):
    """out = sum_j t^j sum_i table[j, i] s^i, two powers of t per pass.

    Rows 2j and 2j + 1 have lengths[j] coefficients: 2, 4, 6, 8 or 12, or 0 beyond the end of the table.
    """
    for i in range(m):
        out[i] = 0.0
    for pair in range(lengths.size - 1, -1, -1):
        if lengths[pair] == 0:
            continue
        a, b = table[2 * pair], table[2 * pair + 1]
        a0, a1, a2, a3, a4, a5, a6, a7 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
        b0, b1, b2, b3, b4, b5, b6, b7 = b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]
        if lengths[pair] == 2:
            for i in range(m):
                u, w = s[i], t[i]
                out[i] = (out[i] * w + (b1 * u + b0)) * w + (a1 * u + a0)
        elif lengths[pair] == 4:
            for i in range(m):
                u, w = s[i], t[i]
                q = ((b3 * u + b2) * u + b1) * u + b0
                p = ((a3 * u + a2) * u + a1) * u + a0
                out[i] = (out[i] * w + q) * w + p
        elif lengths[pair] == 6:
            for i in range(m):
                u, w = s[i], t[i]
                q = ((((b5 * u + b4) * u + b3) * u + b2) * u + b1) * u + b0
                p = ((((a5 * u + a4) * u + a3) * u + a2) * u + a1) * u + a0
                out[i] = (out[i] * w + q) * w + p
        elif lengths[pair] == 8:
            for i in range(m):
                u, w = s[i], t[i]
                q = ((((((b7 * u + b6) * u + b5) * u + b4) * u + b3) * u + b2) * u + b1) * u + b0
                p = ((((((a7 * u + a6) * u + a5) * u + a4) * u + a3) * u + a2) * u + a1) * u + a0
                out[i] = (out[i] * w + q) * w + p
        else:
            _long_pair(a, b, s, t, m, out)


@jit
def _long_pair(a, b, s, t, m, out):
    """Twelve coefficients per row, one row at a time."""
    for row in (b, a):
        c0, c1, c2, c3, c4, c5 = row[0], row[1], row[2], row[3], row[4], row[5]
        c6, c7, c8, c9, ca, cb = row[6], row[7], row[8], row[9], row[10], row[11]
        for i in range(m):
            u = s[i]
            p = (((((cb * u + ca) * u + c9) * u + c8) * u + c7) * u + c6) * u + c5
            out[i] = out[i] * t[i] + (((((p * u + c4) * u + c3) * u + c2) * u + c1) * u + c0)


@jit
def classify(alpha, eps, n, k, x, code):
    """Fill k, x and the piece of each number; alpha < 1 is POWER for eps < 0, else TAIL until c is known."""
    for i in range(n):
        r = 1.0 / alpha[i]
        k[i] = r
        x[i] = eps[i] * np.sqrt(r)
    for i in range(n):
        r, e = k[i], eps[i]
        small = alpha[i] < 1.0
        reach = X_NEAR if r <= K_NEAR else (X_MIDDLE if r <= K_MIDDLE else X_LOW)
        central = NEAR if r <= K_NEAR else (MIDDLE if r <= K_MIDDLE else (LOW if e < 0.0 else HIGH))
        piece = (POWER if e < 0.0 else TAIL) if small else central
        far = abs(e) if small else abs(x[i])
        code[i] = piece if far <= reach else OUTSIDE


@jit
def sort_pieces(code, n, index, count):
    """List the members of each piece in the rows of `index`."""
    for piece in range(LISTS):
        count[piece] = 0
    for i in range(n):
        piece = code[i]
        index[piece, count[piece]] = i
        count[piece] += 1


@jit
def scaled(source, shift, slope, m, out):
    """out = shift + slope source."""
    for i in range(m):
        out[i] = shift + slope * source[i]


@jit
def _central(piece, k, x, m, moving, fit, S, y, v):
    """Y(k, x), v = k V(k, x)."""
    table, lengths, scales = fit[0], fit[1], fit[2]
    s, t = S[0], S[1]
    scaled(k, scales[piece, 0], scales[piece, 1], m, s)
    scaled(x, scales[piece, 2], scales[piece, 3], m, t)
    bivariate(table[2 * piece], lengths[2 * piece], s, t, m, y)
    if moving:
        bivariate(table[2 * piece + 1], lengths[2 * piece + 1], s, t, m, v)
        for i in range(m):
            v[i] *= k[i]


@jit
def _power(k, c, m, moving, fit, S, y, v):
    """y = H(alpha, p) - c, v = (c/alpha) A + B(alpha, p)."""
    table, lengths, scales, log_gamma = fit[0], fit[1], fit[2], fit[5]
    s, t, g = S[0], S[1], S[2]
    s0, s1, t0, t1 = scales[POWER, 0], scales[POWER, 1], scales[POWER, 2], scales[POWER, 3]
    for i in range(m):
        s[i] = s0 + s1 / k[i]
        t[i] = t0 + t1 * el.exp(-c[i])
    bivariate(table[2 * POWER], lengths[2 * POWER], s, t, m, y)
    if moving:
        bivariate(table[2 * POWER + 1], lengths[2 * POWER + 1], s, t, m, v)
        polynomial(log_gamma, log_gamma.size, s, m, g)
        for i in range(m):
            h = y[i]
            v[i] += c[i] * k[i] * el.exp(el.exp(h - c[i]) - (h - g[i]) / k[i])
    for i in range(m):
        y[i] -= c[i]


@jit
def _tail(k, log_c, m, moving, fit, S, y, v):
    """y = Y(alpha, r), v = V(alpha, r)/alpha."""
    table, lengths, scales = fit[0], fit[1], fit[2]
    s, t = S[0], S[1]
    s0, s1, t0, t1 = scales[TAIL, 0], scales[TAIL, 1], scales[TAIL, 2], scales[TAIL, 3]
    for i in range(m):
        s[i] = s0 + s1 / k[i]
        t[i] = t0 + t1 * (log_c[i] / (log_c[i] - 4.0))
    bivariate(table[2 * TAIL], lengths[2 * TAIL], s, t, m, y)
    if moving:
        bivariate(table[2 * TAIL + 1], lengths[2 * TAIL + 1], s, t, m, v)
        for i in range(m):
            v[i] *= k[i]


@jit
def fitted(alpha, eps, n, moving, fit, S, code, index, count, y, v):
    """Fill Y (and v where `moving`) where a piece reaches, n <= BLOCK; index[OUTSIDE, :result] lists the rest."""
    k, x, gk, gx, gy, gv = S[3], S[4], S[5], S[6], S[7], S[8]
    classify(alpha, eps, n, k, x, code)
    sort_pieces(code, n, index, count)
    for piece in range(4):
        m, rows = count[piece], index[piece]
        if m == n:
            _central(piece, k, x, m, moving, fit, S, y, v)
        elif m > 0:
            take(k, rows, m, gk)
            take(x, rows, m, gx)
            _central(piece, gk, gx, m, moving, fit, S, gy, gv)
            put(gy, rows, m, y)
            if moving:
                put(gv, rows, m, v)
    if count[POWER] > 0:
        m, rows = count[POWER], index[POWER]
        take(k, rows, m, gk)
        take(eps, rows, m, gx)
        _lower_exponent(gx, gk, m, fit, S)
        _power(gk, gx, m, moving, fit, S, gy, gv)
        put(gy, rows, m, y)
        if moving:
            put(gv, rows, m, v)
    if count[TAIL] > 0:
        _upper(eps, moving, fit, S, index, count, y, v)
    return count[OUTSIDE]


@jit
def _lower_exponent(eps, k, m, fit, S):
    """Turn eps < 0 into c = -log Phi(eps)/alpha."""
    scaled(eps, 1.0, 2.0 / REACH, m, S[0])
    polynomial(fit[3], fit[3].size, S[0], m, S[1])
    for i in range(m):
        eps[i] = S[1, i] * k[i]


@jit
def _upper(eps, moving, fit, S, index, count, y, v):
    """The members of TAIL, alpha < 1 and eps >= 0: some belong to `power`, and some are too far out."""
    gk, gx, gy, gv, log_c, gn = S[5], S[6], S[7], S[8], S[9], S[10]
    m, rows = count[TAIL], index[TAIL]
    take(S[3], rows, m, gk)
    take(eps, rows, m, gx)
    scaled(gx, -1.0, 2.0 / REACH, m, S[0])
    polynomial(fit[4], fit[4].size, S[0], m, log_c)
    for i in range(m):
        log_c[i] += el.log(gk[i])
    edge = np.log(-np.log(EDGE))
    powers, tails = 0, 0
    for i in range(m):
        if log_c[i] >= edge:
            index[7, powers] = i
            powers += 1
        elif log_c[i] >= -LONGEST_TAIL:
            index[8, tails] = i
            tails += 1
        else:
            index[OUTSIDE, count[OUTSIDE]] = rows[i]
            count[OUTSIDE] += 1
    for part in (7, 8):
        m, chosen = (powers, index[7]) if part == 7 else (tails, index[8])
        if m == 0:
            continue
        take(gk, chosen, m, gn)
        take(log_c, chosen, m, gx)
        if part == 7:
            for i in range(m):
                gx[i] = el.exp(gx[i])
            _power(gn, gx, m, moving, fit, S, gy, gv)
        else:
            _tail(gn, gx, m, moving, fit, S, gy, gv)
        for j in range(m):
            y[rows[chosen[j]]] = gy[j]
        if moving:
            for j in range(m):
                v[rows[chosen[j]]] = gv[j]
