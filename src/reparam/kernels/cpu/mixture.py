# mypy: allow-untyped-defs
"""Quantile of a mixture of K normals at a normal score, and its derivatives, in vector code.

    F(z) = sum_k w_k Phi(t_k) = Phi(eps),  t_k = (z - m_k)/s_k,  w = softmax(l)
    dz/dm_k = r_k,  dz/ds_k = r_k t_k,  dz/dl_k = -w_k (Phi(t_k) - F)/f,  dz/deps = phi(eps)/f
    f = sum_k w_k phi(t_k)/s_k,  r_k = w_k phi(t_k)/(s_k f)

Above the median the mirror image is solved, so that F is always the smaller tail and keeps its digits. Halley steps
on log F from the normal law of the same moments, inside the bracket min_k, max_k of m_k + s_k eps; what has converged
leaves the block. Arrays of a block are (K, BLOCK), numbers of one component side by side.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.mixture_start import approach
from reparam.kernels.cpu.normal_tail import (
    ROOT_2PI,
    exp_coarse,
    exp_negative,
    scaled32,
    scaled64,
)

BLOCK = 128
STEPS = 80
SUMS = {"contract", "nsz", "reassoc"}  # a sum over a block may be taken in any order


@jit
def columns(rows, start, m, out):
    """Copy m rows, or the only one m times, side by side."""
    count = rows.shape[1]
    one = rows.shape[0] == 1
    flat = (rows if one else rows[start : start + m]).reshape(-1)
    for k in range(count):
        if one:
            for i in range(m):
                out[k, i] = flat[k]
        else:
            for i in range(m):
                out[k, i] = flat[i * count + k]


@jit
def load(log_weights, loc, scale, start, m, W, M, R, S, wide):
    """Fill w, m, 1/s and s of m rows, or of one row for the whole block."""
    count = loc.shape[1]
    top, mass = np.full(BLOCK, -np.inf), np.zeros(BLOCK)
    columns(log_weights, start, m, W)
    columns(loc, start, m, M)
    columns(scale, start, m, S)
    for k in range(count):
        for i in range(m):
            top[i] = max(top[i], W[k, i])
    for k in range(count):
        for i in range(m):
            w = W[k, i]
            e = exp_negative(w - top[i]) if wide else exp_coarse(w - top[i])
            W[k, i] = e if w > -np.inf else 0.0
            mass[i] += W[k, i]
            R[k, i] = 1.0 / S[k, i]
    for i in range(m):
        mass[i] = 1.0 / mass[i]
    for k in range(count):
        for i in range(m):
            W[k, i] *= mass[i]


@jit
def narrow(W, M, R, W4, M4, R4):
    """Copy a block to single precision."""
    for k in range(W.shape[0]):
        for i in range(BLOCK):
            W4[k, i], M4[k, i], R4[k, i] = W[k, i], M[k, i], R[k, i]


@jit
def start_values(eps, m, W, M, S, side, size, target, low, high, y):
    """Mirror to the lower tail; bracket; the quantile of the normal law with the mixture's moments."""
    count = W.shape[0]
    for i in range(m):
        side[i] = 1.0 if eps[i] < 0.0 else -1.0
        size[i] = abs(eps[i])
        target[i] = el.log(scaled64(size[i])) - 0.5 * size[i] * size[i]
        low[i], high[i], y[i] = np.inf, -np.inf, 0.0
    spread = np.zeros(BLOCK)
    for k in range(count):
        for i in range(m):
            w, centre = W[k, i], side[i] * M[k, i]
            own = centre - S[k, i] * size[i]
            low[i] = min(low[i], own if w > 0.0 else np.inf)
            high[i] = max(high[i], own if w > 0.0 else -np.inf)
            y[i] += w * centre
    for k in range(count):
        for i in range(m):
            away = side[i] * M[k, i] - y[i]
            spread[i] += W[k, i] * (S[k, i] * S[k, i] + away * away)
    for i in range(m):
        y[i] = min(max(y[i] - np.sqrt(spread[i]) * size[i], low[i]), high[i])


@jit
def evaluate(y, m, W, M, R, side, wide, F, f, g):
    """F, f sqrt(2 pi) and f' sqrt(2 pi) of the mirrored mixture at y."""
    for i in range(m):
        F[i], f[i], g[i] = 0.0, 0.0, 0.0
    for k in range(W.shape[0]):
        if wide:
            for i in range(m):
                r = R[k, i]
                t = (y[i] - side[i] * M[k, i]) * r
                e = exp_negative(-0.5 * t * t)
                tail = e * scaled64(abs(t))
                F[i] += W[k, i] * (tail if t < 0.0 else 1.0 - tail)
                p = W[k, i] * r * e
                f[i] += p
                g[i] -= p * r * t
        else:
            for i in range(m):
                r = R[k, i]
                t = (y[i] - side[i] * M[k, i]) * r
                e = exp_coarse(-0.5 * t * t)
                tail = e * scaled32(abs(t))
                F[i] += W[k, i] * (tail if t < 0.0 else 1.0 - tail)
                p = W[k, i] * r * e
                f[i] += p
                g[i] -= p * r * t


@jit
def advance(m, F, f, g, target, low, high, y, done, tolerance):
    """One Halley step on log F - target for each number, or half its bracket where the step leaves it."""
    for i in range(m):
        gap = el.log(F[i]) - target[i]
        at = y[i]
        low[i] = at if gap < 0.0 else low[i]
        high[i] = at if gap > 0.0 else high[i]
        density = f[i] / ROOT_2PI
        slope = density / F[i]
        bend = g[i] / f[i]
        newton = gap / slope
        step = newton / min(max(1.0 - 0.5 * newton * (bend - slope), 0.5), 2.0)
        new = at - step
        inside = new >= low[i] and new <= high[i]
        y[i] = new if inside else 0.5 * (low[i] + high[i])
        small = abs(step) * (slope + abs(bend)) < tolerance
        closed = high[i] - low[i] <= 4e-16 * max(abs(low[i]), abs(high[i]))
        done[i] = 1.0 if (inside and small) or closed else 0.0


@jit
def quantile(eps, log_weights, loc, scale, z, wide):
    """Fill z (m) with the quantiles at eps (m); the parameters are (m, K), or (1, K) for all."""
    count = loc.shape[1]
    shared = loc.shape[0] == 1
    tolerance = 1e-7 if wide else 1e-3
    W, M, R, S = (
        np.empty((count, BLOCK)),
        np.empty((count, BLOCK)),
        np.empty((count, BLOCK)),
        np.empty((count, BLOCK)),
    )
    W4, M4, R4 = (
        np.empty((count, BLOCK), np.float32),
        np.empty((count, BLOCK), np.float32),
        np.empty((count, BLOCK), np.float32),
    )
    Z = np.empty((8, BLOCK), np.float32)
    e, side, size, target = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    low, high, y, done = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    F, f, g, where = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK, np.int64)
    for start in range(0, eps.size, BLOCK):
        m = min(BLOCK, eps.size - start)
        if not shared or start == 0:
            load(log_weights, loc, scale, 0 if shared else start, BLOCK if shared else m, W, M, R, S, wide)
            narrow(W, M, R, W4, M4, R4)
        for i in range(m):
            e[i], where[i] = eps[start + i], start + i
        start_values(e, m, W, M, S, side, size, target, low, high, y)
        approach(m, W4, M4, R4, side, target, low, high, y, Z)
        for _ in range(STEPS):
            evaluate(y, m, W, M, R, side, wide, F, f, g)
            advance(m, F, f, g, target, low, high, y, done, tolerance)
            left = 0
            for i in range(m):
                z[where[i]] = side[i] * y[i]
                if done[i] == 0.0:
                    where[left], side[left], target[left] = where[i], side[i], target[i]
                    low[left], high[left], y[left] = low[i], high[i], y[i]
                    if not shared and left < i:
                        for k in range(count):
                            W[k, left], M[k, left], R[k, left] = W[k, i], M[k, i], R[k, i]
                    left += 1
            m = left
            if m == 0:
                break


@jit(fastmath=SUMS)
def total(a, b, m):
    """sum_i a_i b_i."""
    out = 0.0
    for i in range(m):
        out += a[i] * b[i]
    return out


@jit
def components(y, m, W, M, R, side, wide, E, T, P, F, f):
    """e_k = w_k phi(t_k) sqrt(2 pi)/s_k, t_k and w_k Phi(t_k) of the mirrored mixture, and their sums F and f."""
    for i in range(m):
        F[i], f[i] = 0.0, 0.0
    for k in range(W.shape[0]):
        for i in range(m):
            t = (y[i] - side[i] * M[k, i]) * R[k, i]
            e = exp_negative(-0.5 * t * t) if wide else exp_coarse(-0.5 * t * t)
            tail = e * (scaled64(abs(t)) if wide else scaled32(abs(t)))
            P[k, i] = W[k, i] * (tail if t < 0.0 else 1.0 - tail)
            E[k, i] = W[k, i] * R[k, i] * e
            T[k, i] = t * side[i]
            F[i] += P[k, i]
            f[i] += E[k, i]


@jit
def give_back(slope, h, m, more, out):
    """out_ik = slope_ki h_i, added to what is there where there is `more`."""
    count = slope.shape[0]
    for k in range(count):
        if more:
            for i in range(m):
                out[i * count + k] += slope[k, i] * h[i]
        else:
            for i in range(m):
                out[i * count + k] = slope[k, i] * h[i]


@jit
def derivatives(eps, z, grad, log_weights, loc, scale, of_eps, of_weights, of_loc, of_scale, wide, more):
    """Fill of_eps (m) and the (m, K), or add to the (1, K), derivatives of sum_i grad_i z_i; `more` adds to all."""
    count = loc.shape[1]
    shared = loc.shape[0] == 1
    W, M, R, S = (
        np.empty((count, BLOCK)),
        np.empty((count, BLOCK)),
        np.empty((count, BLOCK)),
        np.empty((count, BLOCK)),
    )
    E, T, P = np.empty((count, BLOCK)), np.empty((count, BLOCK)), np.empty((count, BLOCK))
    side, y, F, f, h = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, eps.size, BLOCK):
        m = min(BLOCK, eps.size - start)
        if not shared or start == 0:
            load(log_weights, loc, scale, 0 if shared else start, BLOCK if shared else m, W, M, R, S, wide)
        for i in range(m):
            side[i] = 1.0 if eps[start + i] < 0.0 else -1.0
            y[i] = side[i] * z[start + i]
        components(y, m, W, M, R, side, wide, E, T, P, F, f)
        for i in range(m):
            h[i] = grad[start + i] / f[i]
            size = np.float64(eps[start + i])
            of_eps[start + i] = h[i] * exp_negative(-0.5 * size * size)
        for k in range(count):
            for i in range(m):
                P[k, i] = -ROOT_2PI * side[i] * (P[k, i] - W[k, i] * F[i])
                T[k, i] *= E[k, i]
            if shared:
                of_weights[0, k] += total(P[k], h, m)
                of_loc[0, k] += total(E[k], h, m)
                of_scale[0, k] += total(T[k], h, m)
        if not shared:
            give_back(P, h, m, more, of_weights[start : start + m].reshape(-1))
            give_back(E, h, m, more, of_loc[start : start + m].reshape(-1))
            give_back(T, h, m, more, of_scale[start : start + m].reshape(-1))
