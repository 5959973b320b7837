"""Tails and quantile of the standard Gamma on the log scale, y = log z, z ~ Gamma(alpha, 1).

Regimes as in `gamma`: U gives the normal score N = sqrt(alpha) sum_k alpha^-k s_k(w) and both tails at once;
S gives log P = alpha y - z + log(R/D) - log Gamma(alpha + 1); for alpha < 1 it becomes
log P = alpha y - log Gamma(1 + alpha) + log(1 + alpha T), T = sum_n (-z)^n / (n! (alpha + n)), whose terms all
vanish with alpha, so that 1 - P keeps its digits; C gives log Q.

Quantile: within U the inverted series w = sum_k alpha^-k W_k(eps/sqrt(alpha)); elsewhere Halley steps in y on
the logarithm of the smaller tail: one from the fitted quantile of `gamma_fit`, a few where that does not reach.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.gamma import terms_needed
from reparam.kernels.cpu.gamma_fit import LISTS, OUTSIDE, ROWS, fitted
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.series import (
    BLOCK,
    double_series,
    log_complement,
    log_gamma_1p,
    log_tail,
    polynomial,
    put,
    take,
)

_A, _C, _X, _D, _R, _T, _U, _V = (k * BLOCK for k in range(8))
CENTRE, HALF_WIDTH = 0.17, 1.03  # of the fitted range of eps/sqrt(alpha); scripts/make_tables.py


@jit
def _lower_tail(alpha, y, z, lgamma, m, terms, W, tail, hazard):
    """S: log P and f/P."""
    for i in range(m):
        c = 1.0 / max(alpha[i], 1.0)
        W[_C + i] = c
        W[_A + i] = alpha[i] * c
        W[_X + i] = z[i] * c
        W[_D + i] = 1.0
        W[_R + i] = 1.0
    for k in range(terms, 0, -4):
        for i in range(m):
            a, c, x, d, r = W[_A + i], W[_C + i], W[_X + i], W[_D + i], W[_R + i]
            d = (a + k * c) * d
            r = d + x * r
            d = (a + (k - 1) * c) * d
            r = d + x * r
            d = (a + (k - 2) * c) * d
            r = d + x * r
            d = (a + (k - 3) * c) * d
            r = d + x * r
            W[_D + i], W[_R + i] = d, r
    for i in range(m):
        ratio = W[_R + i] / W[_D + i]
        tail[i] = alpha[i] * y[i] - z[i] + el.log(ratio) - lgamma[i]
        hazard[i] = alpha[i] / ratio


@jit
def _small_alpha_tail(alpha, y, z, lgamma, m, W, tail, hazard):
    """S for alpha < 1: log P and f/P from the alternating series T."""
    top = 0.0
    for i in range(m):
        W[_T + i] = 0.0
        W[_D + i] = 1.0
        top = max(top, z[i])
    n, bound = 0, 1.0
    while bound > 1e-18 and n < 60:
        n += 1
        bound *= top / n
        r = -1.0 / n
        for i in range(m):
            d = W[_D + i] * z[i] * r
            W[_D + i] = d
            W[_T + i] += d / (alpha[i] + n)
    for i in range(m):
        t = alpha[i] * W[_T + i]
        tail[i] = alpha[i] * y[i] - lgamma[i] + el.log1p(t)
        hazard[i] = alpha[i] * el.exp(-z[i]) / (1.0 + t)


@jit
def _upper_tail(alpha, y, z, lgamma, m, levels, W, tail, hazard):
    """C: log Q and f/Q."""
    for i in range(m):
        W[_X + i] = z[i] + 1.0 - alpha[i]
        W[_D + i] = 0.0
    for j in range(levels, 0, -1):
        for i in range(m):
            W[_D + i] = j * (alpha[i] - j) / (W[_X + i] + 2.0 * j + W[_D + i])
    for i in range(m):
        h = W[_X + i] + W[_D + i]
        tail[i] = alpha[i] * y[i] - z[i] - el.log(h / alpha[i]) - lgamma[i]
        hazard[i] = h


@jit
def log_gamma_block(alpha, small, m, W, out):
    """out = log Gamma(1 + alpha); below 1 with a relative error, so that it vanishes with alpha."""
    log_gamma_1p(alpha, m, out)
    fewer = False
    for i in range(m):
        fewer = fewer or alpha[i] < 1.0
    if fewer:
        for i in range(m):
            W[BLOCK + i] = min(alpha[i], 1.0)
        polynomial(small, small.size, W[BLOCK:], m, W)
        for i in range(m):
            a = alpha[i]
            out[i] = a * W[i] - el.log1p(a) if a < 1.0 else out[i]


@jit
def near_tails(alpha, y, lgamma, n, tables, W, index, scratch, tail, hazard, upper):
    """Fill, outside U, the tail that the regime computes (log P, or log Q where `upper`) and density / tail."""
    bound, levels = tables[2], tables[3]
    z, ga, gy, gz, gl, gt, gh = (
        scratch[0],
        scratch[1],
        scratch[2],
        scratch[3],
        scratch[4],
        scratch[5],
        scratch[6],
    )
    count_m, count_s, count_c = 0, 0, 0
    for i in range(n):
        z[i] = el.exp(min(y[i], 690.0))
    for i in range(n):
        upper[i] = z[i] >= 3.5 + 1.5 * alpha[i]
        if upper[i]:
            index[2, count_c] = i
            count_c += 1
        elif alpha[i] < 1.0:
            index[0, count_m] = i
            count_m += 1
        else:
            index[1, count_s] = i
            count_s += 1
    for regime in range(3):
        m = (count_m, count_s, count_c)[regime]
        if m == 0:
            continue
        rows = index[regime]
        take(alpha, rows, m, ga)
        take(y, rows, m, gy)
        take(z, rows, m, gz)
        take(lgamma, rows, m, gl)
        if regime == 0:
            _small_alpha_tail(ga, gy, gz, gl, m, W, gt, gh)
        elif regime == 1:
            _lower_tail(ga, gy, gz, gl, m, terms_needed(ga, gz, m, bound), W, gt, gh)
        else:
            _upper_tail(ga, gy, gz, gl, m, levels, W, gt, gh)
        put(gt, rows, m, tail)
        put(gh, rows, m, hazard)


@jit
def tails(alpha, y, logp, logq, score, lengths, least, tables):
    """Fill log P(alpha, z) and log Q(alpha, z)."""
    W, scratch, index = np.empty(8 * BLOCK), np.empty((12, BLOCK)), np.empty((3, BLOCK), np.int64)
    kept, flag = np.empty((2, BLOCK), np.int64), np.empty(BLOCK, np.bool_)
    ga, gw, near, gh, lgamma = scratch[7], scratch[8], scratch[9], scratch[10], scratch[11]
    for start in range(0, alpha.size, BLOCK):
        n = min(BLOCK, alpha.size - start)
        count = split(alpha[start : start + n], y[start : start + n], n, least, kept)
        for part in range(2):
            m, rows = count[part], kept[part]
            if m == 0:
                continue
            take(alpha[start : start + n], rows, m, ga)
            take(y[start : start + n], rows, m, gw)
            if part == 0:
                for j in range(m):
                    gw[j] -= el.log(ga[j])
                    W[j] = 1.0 / ga[j]
                double_series(score, lengths, gw, W[:BLOCK], m, W[BLOCK : 2 * BLOCK], gh)
                for j in range(m):
                    flag[j] = gh[j] > 0.0
                    gw[j] = np.sqrt(ga[j]) * abs(gh[j])
                log_tail(gw, tables[0], m, near)
            else:
                log_gamma_block(ga, tables[1], m, W, lgamma)
                near_tails(ga, gw, lgamma, m, tables, W, index, scratch, near, gh, flag)
            for j in range(m):
                l = min(near[j], -1e-300)
                other = log_complement(l)
                logp[start + rows[j]] = other if flag[j] else l
                logq[start + rows[j]] = l if flag[j] else other


@jit
def split(alpha, y, n, least, kept):
    """List the members of U in kept[0], the others in kept[1]; return how many each has."""
    inside, outside = 0, 0
    for i in range(n):
        if alpha[i] >= least and abs(y[i] - el.log(alpha[i])) < 1.0:
            kept[0, inside] = i
            inside += 1
        else:
            kept[1, outside] = i
            outside += 1
    return inside, outside


@jit
def start_value(alpha, eps, logp, lgamma, m, y):
    """A first y: the power law of the lower tail for alpha < 1, Wilson and Hilferty's cube for alpha >= 1."""
    for i in range(m):
        a = alpha[i]
        c = -logp[i] / a  # P = e^(-alpha c)
        power = lgamma[i] / a - c
        corrected = power + el.exp(min(power, 0.0)) / (1.0 + a)
        far = -el.log(c)  # alpha < 1: Q ~ alpha e^-z / z
        far = max(far - el.log(1.0 + far) if far > 0.0 else far, 0.05)
        r = 1.0 / (9.0 * a)
        cube = 1.0 - r + eps[i] * np.sqrt(r)
        central = el.log(a) + 3.0 * el.log(max(cube, 0.02))
        small = corrected if c > 0.35 else el.log(far)
        large = corrected if cube < 0.35 and eps[i] < 0.0 else central
        y[i] = small if a < 1.0 else large


@jit
def solve(alpha, logp, logq, lgamma, rows, m, tables, W, index, scratch, flag, tolerance, y, out):
    """Halley steps on the logarithm of the near tail; a number whose step was small leaves the block for `out`."""
    tail, hazard = scratch[7], scratch[8]
    for _ in range(40):
        near_tails(alpha, y, lgamma, m, tables, W, index, scratch, tail, hazard, flag)
        for j in range(m):
            h = -hazard[j] if flag[j] else hazard[j]
            newton = (tail[j] - (logq[j] if flag[j] else logp[j])) / h
            bend = alpha[j] - el.exp(min(y[j], 690.0)) - h
            step = newton / max(1.0 - 0.5 * newton * bend, 0.3)
            reach = 2.0 + 0.5 * abs(y[j])
            step = min(max(step, -reach), reach)
            y[j] -= step
            hazard[j] = abs(step)
        left = 0
        for j in range(m):
            out[rows[j]] = y[j]
            if not hazard[j] < tolerance:
                alpha[left], logp[left], logq[left], lgamma[left] = alpha[j], logp[j], logq[j], lgamma[j]
                y[left], rows[left] = y[j], rows[j]
                left += 1
        m = left
        if m == 0:
            return


@jit
def first_values(alpha, eps, logp, lgamma, m, fit, F, code, index, count, y):
    """A first y: the fitted quantile, and `start_value` where that does not reach."""
    left = fitted(alpha, eps, m, False, fit, F, code, index, count, y, y)
    for j in range(m):
        y[j] += el.log(max(alpha[j], 1.0))
    if left > 0:
        rows = index[OUTSIDE]
        take(alpha, rows, left, F[0])
        take(eps, rows, left, F[1])
        take(logp, rows, left, F[2])
        take(lgamma, rows, left, F[3])
        start_value(F[0], F[1], F[2], F[3], left, F[4])
        put(F[4], rows, left, y)


@jit
def quantile(alpha, eps, y, inverse, lengths, least, tables, tolerance, fit):
    """Fill y with log z where P(alpha, z) = Phi(eps)."""
    W, scratch, index = np.empty(8 * BLOCK), np.empty((15, BLOCK)), np.empty((LISTS, BLOCK), np.int64)
    kept, flag, count = np.empty((2, BLOCK), np.int64), np.empty(BLOCK, np.bool_), np.empty(LISTS, np.int64)
    code, F = np.empty(BLOCK, np.int64), np.empty((ROWS, BLOCK))
    ga, ge, gy = scratch[9], scratch[10], scratch[11]
    logp, logq, lgamma = scratch[12], scratch[13], scratch[14]
    for start in range(0, alpha.size, BLOCK):
        n = min(BLOCK, alpha.size - start)
        a, e = alpha[start : start + n], eps[start : start + n]
        inside, outside = 0, 0
        for i in range(n):
            if a[i] >= least and abs(e[i] / np.sqrt(a[i]) - CENTRE) < HALF_WIDTH:
                kept[0, inside] = i
                inside += 1
            else:
                kept[1, outside] = i
                outside += 1
        if inside > 0:
            m = inside
            take(a, kept[0], m, ga)
            take(e, kept[0], m, ge)
            for j in range(m):
                ge[j] = (ge[j] / np.sqrt(ga[j]) - CENTRE) / HALF_WIDTH
                W[j] = 1.0 / ga[j]
            double_series(inverse, lengths, ge, W[:BLOCK], m, W[BLOCK : 2 * BLOCK], gy)
            for j in range(m):
                gy[j] += el.log(ga[j])
            put(gy, kept[0], m, y[start : start + n])
        if outside > 0:
            m = outside
            take(a, kept[1], m, ga)
            take(e, kept[1], m, ge)
            for j in range(m):
                gy[j] = abs(ge[j])
            log_tail(gy, tables[0], m, logq)
            for j in range(m):
                near = logq[j]
                other = log_complement(near)
                logp[j] = near if ge[j] < 0.0 else other
                logq[j] = other if ge[j] < 0.0 else near
            log_gamma_block(ga, tables[1], m, W, lgamma)
            first_values(ga, ge, logp, lgamma, m, fit, F, code, index, count, gy)
            out = y[start : start + n]
            solve(ga, logp, logq, lgamma, kept[1], m, tables, W, index, scratch, flag, tolerance, gy, out)
