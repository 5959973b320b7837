"""Tails and quantile of the Beta law on the logit scale, xi = log(x/y), y = 1 - x, x ~ Beta(a, b).

Reflected so that x <= 1/2, each element's tail comes from the regimes of `beta`: S and M give log I_x, C gives
log(1 - I_x), and where both parameters are large the integral of `beta_saddle` the smaller of the two, each with its
hazard density/tail. The quantile takes Halley steps in xi on that logarithm.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import beta_saddle
from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.beta import MOST_PRODUCTS, lower_end, most_terms, reflect, terms_needed
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.series import (
    BLOCK,
    log_complement,
    log_gamma_1p,
    log_tail,
    polynomial,
    stirling_rest,
    stirling_tail,
    take,
)

_A, _C, _X, _S, _D, _R = (k * BLOCK for k in range(6))
HALF_LOG_2PI = 0.91893853320467274178


@jit
def log_norm(a, b, m, small, W, lone, norm):
    """lone = -log(s B(s, l)), s = min(a, b), l = max, accurate also relative to s; norm: log f = norm + ...

    Where both are below 15: f = e^norm x^a y^b, norm = lone + log s. Where both are >= 15:
    f = e^norm (x/mu)^a (y/(1-mu))^b, norm = log(ab/(2 pi S))/2 + the Stirling remainders.
    """
    for i in range(m):
        W[i] = min(a[i], b[i])
        W[BLOCK + i] = min(W[i], 1.0)
    log_gamma_1p(W, m, W[2 * BLOCK :])
    polynomial(small, small.size, W[BLOCK:], m, W[3 * BLOCK :])
    for i in range(m):
        s, l = W[i], max(a[i], b[i])
        gamma_s = s * W[3 * BLOCK + i] - el.log1p(s) if s < 1.0 else W[2 * BLOCK + i]
        q = 0.0  # prod (l+s+k)/(l+k) - 1 over k, free of cancellation
        for k in range(15):
            t = l + k
            q = (q * (t + s) + s) / t
        L = l + 15.0
        rest = stirling_rest(L + s) - stirling_rest(L)
        gap = (L - 0.5) * el.log1p(s / L) + s * el.log(L + s) - s + rest - el.log1p(q)
        lone[i] = gap - gamma_s
        S = s + l
        smooth = stirling_tail(max(S, 15.0)) - stirling_tail(max(s, 15.0)) - stirling_tail(max(l, 15.0))
        norm[i] = 0.5 * el.log(s * (l / S)) + smooth if s >= 15.0 else lone[i] + el.log(s)


@jit
def _series(a, b, x, m, terms, W):
    """R of S, division-free, as the ratio W[_R]/W[_D]."""
    for i in range(m):
        c = 1.0 / max(a[i], 1.0)
        W[_C + i] = c
        W[_A + i] = a[i] * c
        W[_X + i] = x[i] * c
        W[_S + i] = a[i] + b[i]
        W[_D + i] = 1.0
        W[_R + i] = 1.0
    for k in range(terms, 0, -2):
        for i in range(m):
            a0, c, x0, s, d, r = W[_A + i], W[_C + i], W[_X + i], W[_S + i], W[_D + i], W[_R + i]
            d = (a0 + k * c) * d
            r = d + x0 * (s + (k - 1)) * r
            d = (a0 + (k - 1) * c) * d
            r = d + x0 * (s + (k - 2)) * r
            W[_D + i], W[_R + i] = d, r


@jit
def _long_series(a, b, x, m, terms, W):
    """The same where the products would overflow: one division per term."""
    for i in range(m):
        W[_D + i] = 1.0
        W[_R + i] = 1.0
    for k in range(terms, 0, -1):
        for i in range(m):
            W[_R + i] = 1.0 + x[i] * (a[i] + b[i] + (k - 1)) / (a[i] + k) * W[_R + i]


@jit
def _small_series(a, b, x, m, W):
    """T of M, into W[:m]."""
    for i in range(m):
        W[i] = 0.0
        W[BLOCK + i] = 1.0
    for n in range(1, 56):
        r = 1.0 / n
        for i in range(m):
            p = W[BLOCK + i] * (n - b[i]) * x[i] * r
            W[i] += p / (a[i] + n)
            W[BLOCK + i] = p


@jit
def _fraction(A, B, X, Y, m, levels, W):
    """K of I_X(A, B) = X^A Y^B/B(A, B) K (see `beta.fraction`), into W[:m]."""
    for i in range(m):
        W[i] = 0.0
        W[BLOCK + i] = 1.0 / (A[i] + 2.0 * levels + 1.0)
    for n in range(levels, 0, -1):
        for i in range(m):
            a, b, x, y = A[i], B[i], X[i], Y[i]
            q1 = W[BLOCK + i]
            q0 = 1.0 / (a + (2.0 * n - 1.0))
            W[BLOCK + i] = q0
            k = n * x * q0
            h = a * y - b * x + 1.0 + n * (1.0 + y)
            den = n + k * (b - n) + (a + n) * q1 * h + W[i]
            W[i] = (a + (n - 1.0)) * (a + b + (n - 1.0)) * (b - n) * k * x * q0 / den
    for i in range(m):
        a, b, x, y = A[i], B[i], X[i], Y[i]
        W[i] = 1.0 / (a * W[BLOCK + i] * (a * y - b * x + 1.0) + W[i])


@jit
def sort_tails(A, B, X, Y, xi, n, steps, index, gap, terms, upper):
    """List S, M, C, long S and the integral in the rows of `index`, fill gap and `upper`; return the counts."""
    ns, nm, nc, nl, nk = 0, 0, 0, 0, 0
    for i in range(n):
        terms[i] = terms_needed(A[i], B[i], X[i], steps)
    for i in range(n):
        xs = X[i] * (A[i] + B[i])
        flip = xi[i] > 0.0
        gap[i] = beta_saddle.excess(A[i], B[i], X[i], xi[i])
        if beta_saddle.holds(A[i], B[i], X[i], Y[i], gap[i]):
            index[4, nk] = i
            nk += 1
            upper[i] = flip == (gap[i] < 0.0)
        elif A[i] < 0.1 and xs > 0.1 and xs < 2.2:
            index[1, nm] = i
            nm += 1
            upper[i] = flip
        elif xs < min(lower_end(A[i]), A[i] + 2.5 * np.sqrt(A[i]) + 2.2):
            upper[i] = flip
            if terms[i] <= MOST_PRODUCTS:
                index[0, ns] = i
                ns += 1
            else:
                index[3, nl] = i
                nl += 1
        else:
            index[2, nc] = i
            nc += 1
            upper[i] = not flip
    return ns, nm, nc, nl, nk


@jit
def ratios(regime, a, b, x, y, m, steps, levels, W):
    """Into W the ratio tail/density of a regime (T of M; y is the gap of the integral)."""
    if regime == 0:
        _series(a, b, x, m, most_terms(a, b, x, m, steps), W)
    elif regime == 1:
        _small_series(a, b, x, m, W)
    elif regime == 3:
        _long_series(a, b, x, m, most_terms(a, b, x, m, steps), W)
    elif regime == 4:
        beta_saddle.integral(a, b, x, y, m, W[BLOCK:], W)
    else:
        largest = 0.0
        for j in range(m):
            largest = max(largest, a[j])
        _fraction(b, a, y, x, m, max(levels, int(5.0 * np.sqrt(largest))), W)


@jit
def tails_of(regime, rows, m, a, b, lx, ly, gap, lone, norm, W, tail, hazard):
    """Fill tail and hazard from the ratios of a regime."""
    for j in range(m):
        i = rows[j]
        p, q = a[j], b[j]
        if min(p, q) >= 15.0:
            log_density = norm[i] + beta_saddle.central_log_density(p, q, lx[i], ly[i], gap[i])
        else:
            log_density = norm[i] + p * lx[i] + q * ly[i]
        if regime == 0 or regime == 3:
            ratio = W[_R + j] / W[_D + j] / p
            tail[i] = log_density + el.log(ratio)
            hazard[i] = 1.0 / ratio
        elif regime == 1:
            one = 1.0 + p * W[j]
            start = lone[i] if p <= q else norm[i] - el.log(p)
            tail[i] = start + p * lx[i] + el.log1p(p * W[j])
            hazard[i] = p * el.exp(q * ly[i]) / one
        else:
            tail[i] = log_density + el.log(W[j])
            hazard[i] = 1.0 / W[j]


@jit
def near_tails(a, b, xi, lone, norm, n, steps, levels, W, index, Z, tail, hazard, upper):
    """Fill log I_x (or log(1 - I_x) where `upper`) and density/tail, in the original orientation."""
    A, B, X, Y, lx, ly = Z[0], Z[1], Z[2], Z[3], Z[4], Z[5]
    g0, g1, g2, g3, gap = Z[6], Z[7], Z[8], Z[9], Z[19]
    reflect(a, b, xi, n, A, B, X, Y, lx, ly)
    count = sort_tails(A, B, X, Y, xi, n, steps, index, gap, tail, upper)
    for regime in range(5):
        m, rows = count[regime], index[regime]
        if m == 0:
            continue
        take(A, rows, m, g0)
        take(B, rows, m, g1)
        take(X, rows, m, g2)
        take(gap if regime == 4 else Y, rows, m, g3)
        ratios(regime, g0, g1, g2, g3, m, steps, levels, W)
        tails_of(regime, rows, m, g0, g1, lx, ly, gap, lone, norm, W, tail, hazard)


@jit
def hazards(a, b, xi, low, high, small, steps, levels):
    """Fill f/I_x and f/(1 - I_x): of the nearer tail without the density, whose rounding is that of xi."""
    W, Z, index = np.empty(6 * BLOCK), np.empty((20, BLOCK)), np.empty((5, BLOCK), np.int64)
    flag = np.empty(BLOCK, np.bool_)
    lone, norm, tail, hazard = Z[10], Z[11], Z[12], Z[13]
    for start in range(0, a.size, BLOCK):
        n = min(BLOCK, a.size - start)
        aa, bb, x = a[start : start + n], b[start : start + n], xi[start : start + n]
        log_norm(aa, bb, n, small, W, lone, norm)
        near_tails(aa, bb, x, lone, norm, n, steps, levels, W, index, Z, tail, hazard, flag)
        for i in range(n):
            near = min(tail[i], -1e-300)
            far = hazard[i] * el.exp(near - log_complement(near))
            low[start + i] = far if flag[i] else hazard[i]
            high[start + i] = hazard[i] if flag[i] else far


@jit
def tails(a, b, xi, low, high, mills, small, steps, levels):
    """Fill log I_x(a, b) and log(1 - I_x(a, b))."""
    W, Z, index = np.empty(6 * BLOCK), np.empty((20, BLOCK)), np.empty((5, BLOCK), np.int64)
    flag = np.empty(BLOCK, np.bool_)
    lone, norm, tail, hazard = Z[10], Z[11], Z[12], Z[13]
    for start in range(0, a.size, BLOCK):
        n = min(BLOCK, a.size - start)
        aa, bb, x = a[start : start + n], b[start : start + n], xi[start : start + n]
        log_norm(aa, bb, n, small, W, lone, norm)
        near_tails(aa, bb, x, lone, norm, n, steps, levels, W, index, Z, tail, hazard, flag)
        for i in range(n):
            near = min(tail[i], -1e-300)
            other = log_complement(near)
            low[start + i] = other if flag[i] else near
            high[start + i] = near if flag[i] else other


@jit
def start_value(a, b, eps, logp, logq, lone, m, xi):
    """A first xi: Abramowitz and Stegun 26.5.22 for a, b >= 1, else the power law of the nearer end."""
    for i in range(m):
        s = min(a[i], b[i])
        p, q = max(2.0 * a[i] - 1.0, 1.0), max(2.0 * b[i] - 1.0, 1.0)
        e = -eps[i]
        lam = (e * e - 3.0) / 6.0
        h = 2.0 / (1.0 / p + 1.0 / q)
        w = e * np.sqrt(max(h + lam, 0.3)) / h - (1.0 / q - 1.0 / p) * (lam + 5.0 / 6.0 - 2.0 / (3.0 * h))
        central = el.log(a[i] / b[i]) - 2.0 * w
        # I_x ~ x^a/(a B): log(aB) = log(sB) + log(a/s)
        lower = (logp[i] - lone[i] + el.log(a[i] / s)) / a[i]
        upper = (logq[i] - lone[i] + el.log(b[i] / s)) / b[i]
        lower = lower - el.log(-el.expm1(lower)) if lower < -0.7 else lower
        upper = upper - el.log(-el.expm1(upper)) if upper < -0.7 else upper
        edge = min(lower, 30.0) if logp[i] < el.log(b[i] / (a[i] + b[i])) else max(-upper, -30.0)
        xi[i] = central if s >= 1.0 and abs(central) < 40.0 else edge


@jit
def quantile(a, b, eps, logp, logq, xi, mills, small, steps, levels, step_tolerance):
    """Fill xi = logit x where log I_x(a, b) = logp and log(1 - I_x(a, b)) = logq; eps = ndtri(e^logp).

    xi comes in with starts, nan where there is none. Halley steps; a number whose step was small leaves the block.
    """
    W, Z, index = np.empty(6 * BLOCK), np.empty((20, BLOCK)), np.empty((5, BLOCK), np.int64)
    flag, rows = np.empty(BLOCK, np.bool_), np.empty(BLOCK, np.int64)
    lone, norm, tail, hazard, y, ga, gb, lp, lq = (
        Z[10],
        Z[11],
        Z[12],
        Z[13],
        Z[14],
        Z[15],
        Z[16],
        Z[17],
        Z[18],
    )
    for start in range(0, a.size, BLOCK):
        m = min(BLOCK, a.size - start)
        for i in range(m):
            ga[i], gb[i] = a[start + i], b[start + i]
            lp[i], lq[i], rows[i] = logp[start + i], logq[start + i], start + i
        log_norm(ga, gb, m, small, W, lone, norm)
        start_value(ga, gb, eps[start:], lp, lq, lone, m, y)
        for i in range(m):
            y[i] = xi[start + i] if xi[start + i] == xi[start + i] else y[i]
        for _ in range(40):
            near_tails(ga, gb, y, lone, norm, m, steps, levels, W, index, Z, tail, hazard, flag)
            for i in range(m):
                h = -hazard[i] if flag[i] else hazard[i]
                newton = (tail[i] - (lq[i] if flag[i] else lp[i])) / h
                e = el.exp(-abs(y[i]))
                x = (1.0 if y[i] > 0.0 else e) / (1.0 + e)
                bend = ga[i] - (ga[i] + gb[i]) * x - h
                step = newton / max(1.0 - 0.5 * newton * bend, 0.3)
                reach = 2.0 + 0.5 * abs(y[i])
                step = min(max(step, -reach), reach)
                y[i] -= step
                hazard[i] = abs(step)
            left = 0
            for i in range(m):
                xi[rows[i]] = y[i]
                if not hazard[i] < step_tolerance:
                    ga[left], gb[left], lp[left], lq[left] = ga[i], gb[i], lp[i], lq[i]
                    lone[left], norm[left], y[left], rows[left] = lone[i], norm[i], y[i], rows[i]
                    left += 1
            m = left
            if m == 0:
                break


@jit
def normal_tails(eps, logp, logq, mills):
    """Fill log Phi(eps) and log Phi(-eps)."""
    size = np.empty(BLOCK)
    for start in range(0, eps.size, BLOCK):
        n = min(BLOCK, eps.size - start)
        for i in range(n):
            size[i] = abs(eps[start + i])
        log_tail(size, mills, n, logq[start : start + n])
        for i in range(start, start + n):
            near = logq[i]
            other = log_complement(near)
            logp[i] = near if eps[i] < 0.0 else other
            logq[i] = other if eps[i] < 0.0 else near
