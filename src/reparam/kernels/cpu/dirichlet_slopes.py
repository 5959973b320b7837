"""v = d logit x/da at fixed noise and constant b, x ~ Beta(a, b), for the coordinates of a Dirichlet draw.

Errors below 1e-8 before rounding, which is for single precision. With S = a + b, y = 1 - x, r = x/y, the law has
I_x(a, b) = f R/a with f the density of logit x, so that v = -[R (log x - psi(a+1) + psi(S)) + R_a]/a. Regimes:

    P   x <= 1/2: R = (1/y) sum_n t_n, t_n = prod_{i<=n} r (b-i)/(a+i), to 16 or 48 terms. The terms fall faster
        than those of S where b is not small, and only their denominators depend on a
    S   x <= 1/2: R = sum_n x^n (S)_n/(a+1)_n to 64 terms, where P would need more than 48
    U   both parameters >= 10, x near its mean: the uniform expansion of `beta`
    else, a few numbers: `beta.velocity`

In the upper tail R L and R_a cancel up to the share 1 - I_x that is left; P and S end where rounding errors of 1e-16
would count.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import beta
from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.series import digamma_tail, put, take

BLOCK = 2048  # numbers sorted at once
LEAST, STEPS, LEVELS = 10.0, 23.0, 16  # of U, and of `beta.velocity` in single precision
TERMS = (16, 48)  # of P
REGIMES = 5
LAST, PLAIN, CENTRE, REST = 1, 2, 3, 4  # P with the most terms, S, U, the rest
PLAIN_TERMS = 64
LARGEST = 1e4  # parameter a for which products of 64 factors stay below the largest double
CUT = 1e-5  # square root of the first term that may be left out
PLAIN_CUT = -24.0  # log of the like of S
FAR = 10.0  # P ends at xS = FAR + 1.5 a, where 1e-6 of R L and R_a is left
# rows of the flat scratch, at constant distances so that loops over it need no alias checks
ROWS = 10
_D, _E, _R, _M, _P, _X, _LOG, _B, _A, _OUT = (k * BLOCK for k in range(ROWS))


@jit(forceinline=True)
def _fourth(x):
    return (x * x) * (x * x)


@jit(forceinline=True)
def _size(n, b, r):
    """r times the geometric mean of |b - i|, i = 1..n, or more.

    With c = b - 1/2 - n/2, h = n/2: log of the mean is the mean of log |t| over [c - h, c + h] but for a part of 1/n;
    it is below log c, and where |c| < h below log((h + c^2/h)/e).
    """
    c, h = b - 0.5 - 0.5 * n, 0.5 * n
    return r * (c if c > h else 0.368 * h + c * c * (0.368 / h))


@jit
def sort_slopes(a, b, x, y, n, r, code, index, count):
    """Fill r = x/y and list the members of each regime.

    |t_n| is about size^n/(a+1)_n, and (a+1)_n is at least the square of D, in which (a+i)(a+j) at the ends of a
    run of factors stand for the pairs inside it.
    """
    for i in range(n):
        p, q, u = a[i], b[i], x[i] / y[i]
        r[i] = u
        s, t = p * (p + 9.0), p * (p + 25.0)
        D16 = CUT * ((s + 8.0) * (s + 20.0)) * ((t + 144.0) * (t + 156.0))
        D48 = D16 * _fourth((p + 17.0) * (p + 32.0)) * _fourth((p + 33.0) * (p + 48.0))
        m16, m48 = _fourth(_size(16.0, q, u)), _fourth(_size(48.0, q, u))
        m48 *= m48 * m48
        bins = 0.0 if m16 * m16 < D16 else 1.0
        bins = bins if m48 * m48 < D48 else float(PLAIN)
        xs, ys = x[i] * (p + q), y[i] * (p + q)
        bins = bins if xs < FAR + 1.5 * p else float(REST)
        bins = bins if max(u, p * (1.0 / LARGEST)) <= 1.0 else float(REST)
        near = min(min(xs - 0.37 * p, ys - 0.37 * q), min(2.7 * p - xs, 2.7 * q - ys))
        near = near if min(p, q) >= LEAST else 0.0
        code[i] = float(CENTRE) if near > 0.0 else bins
    for k in range(REGIMES):
        count[k] = 0
    for i in range(n):
        k = int(code[i])
        index[k, count[k]] = i
        count[k] += 1
    _plain(a, b, x, index, count)


@jit
def _plain(a, b, x, index, count):
    """Move to the rest what S does not reach: its terms are at most x^n ((a + n + 1/2)/(a + 1/2))^(b-1), or x^n."""
    kept = 0
    for j in range(count[PLAIN]):
        i = index[PLAIN, j]
        p = a[i] + 0.5
        size = PLAIN_TERMS * np.log(x[i]) + max(b[i] - 1.0, 0.0) * np.log((p + PLAIN_TERMS) / p)
        if size < PLAIN_CUT and x[i] * (a[i] + b[i]) < 8.0 + 1.2 * p:
            index[PLAIN, kept] = i
            kept += 1
        else:
            index[REST, count[REST]] = i
            count[REST] += 1
    count[PLAIN] = kept


@jit(forceinline=True)
def _term(q, p, d, e, r, m):
    """One factor (a + k)/(r (b - k)): D, E = D_a, R, M = R_a of the products without divisions."""
    e = d + q * e
    d = q * d
    return d, e, d + p * r, e + p * m


@jit
def _transformed(W, m, terms):
    """P at a, r, b, log x + psi(S) in rows _A, _X, _B, _LOG of W."""
    for i in range(m):
        W[_P + i] = W[_X + i] * (W[_B + i] - terms)
        W[_D + i], W[_E + i], W[_R + i], W[_M + i] = 1.0, 0.0, 1.0, 0.0
    for k in range(terms, 0, -8):
        for i in range(m):
            q, p, t = W[_A + i] + k, W[_P + i], W[_X + i]
            d, e, r, g = _term(q, p, W[_D + i], W[_E + i], W[_R + i], W[_M + i])
            q, p = q - 1.0, p + t
            d, e, r, g = _term(q, p, d, e, r, g)
            q, p = q - 1.0, p + t
            d, e, r, g = _term(q, p, d, e, r, g)
            q, p = q - 1.0, p + t
            d, e, r, g = _term(q, p, d, e, r, g)
            q, p = q - 1.0, p + t
            d, e, r, g = _term(q, p, d, e, r, g)
            q, p = q - 1.0, p + t
            d, e, r, g = _term(q, p, d, e, r, g)
            q, p = q - 1.0, p + t
            d, e, r, g = _term(q, p, d, e, r, g)
            q, p = q - 1.0, p + t
            d, e, r, g = _term(q, p, d, e, r, g)
            W[_D + i], W[_E + i], W[_R + i], W[_M + i] = d, e, r, g
            W[_P + i] = p + t
    for i in range(m):
        a = W[_A + i]
        top = a + (terms + 1.0)
        L = W[_LOG + i] - el.log(top) - digamma_tail(top)
        W[_OUT + i] = -(W[_R + i] * L + W[_M + i]) * (1.0 + W[_X + i]) / (a * W[_D + i])


@jit
def _plain_series(W, m):
    """S at a, x, S, log x + psi(S) in rows _A, _X, _B, _LOG of W; the numerators x (S+k-1) have the slope x in a."""
    for i in range(m):
        W[_D + i], W[_E + i], W[_R + i], W[_M + i] = 1.0, 0.0, 1.0, 0.0
    for k in range(PLAIN_TERMS, 0, -1):
        for i in range(m):
            q, p, x, before = W[_A + i] + k, W[_X + i] * (W[_B + i] + (k - 1.0)), W[_X + i], W[_R + i]
            d, e, r, g = _term(q, p, W[_D + i], W[_E + i], before, W[_M + i])
            W[_D + i], W[_E + i], W[_R + i], W[_M + i] = d, e, r, g + x * before
    for i in range(m):
        a = W[_A + i]
        top = a + (PLAIN_TERMS + 1.0)
        L = W[_LOG + i] - el.log(top) - digamma_tail(top)
        W[_OUT + i] = -(W[_R + i] * L + W[_M + i]) / (a * W[_D + i])


@jit
def slopes(a, b, psi, x, y, log_x, n, series, W, code, index, count, v):
    """Fill v at n <= BLOCK numbers but for the rest, listed in index[REST, :count[REST]]; psi = psi(a + b)."""
    r = W[_OUT:]
    sort_slopes(a, b, x, y, n, r, code, index, count)
    for i in range(n):
        v[i] = r[i]
        psi[i] += log_x[i]
    ga, gb, gx, gl, out = W[_A:], W[_B:], W[_X:], W[_LOG:], W[_OUT:]
    for regime in range(REST):
        m, rows = count[regime], index[regime]
        if m == 0:
            continue
        take(a, rows, m, ga)
        take(b, rows, m, gb)
        take(v if regime <= LAST else x, rows, m, gx)
        take(y if regime == CENTRE else psi, rows, m, gl)
        if regime <= LAST:
            _transformed(W, m, TERMS[regime])
        elif regime == PLAIN:
            for j in range(m):
                gb[j] += ga[j]
            _plain_series(W, m)
        else:
            for j in range(m):
                gl[j] = el.log1p((gx[j] * gb[j] - gl[j] * ga[j]) / ga[j])
                gb[j] += ga[j]
            beta.uniform(series[0], series[1], series[2], gl, ga, gb, m, W[_D:], W[_E:], out)
        put(out, rows, m, v)


@jit
def others(left, m, series, field):
    """Fill the field g = x v at the rest: `left` has the rows a, b, logit x, x and position."""
    da, db = np.empty(m), np.empty(m)
    for j in range(m):
        left[2, j] = min(max(left[2, j], -700.0), 700.0)
    beta.velocity(left[0, :m], left[1, :m], left[2, :m], da, db, *series, LEAST, STEPS, LEVELS)
    for j in range(m):
        field[int(left[4, j])] = left[3, j] * da[j]
