"""A Dirichlet draw in single precision with its field, in one pass; all in double and rounded once.

    log z_j = log of the Gamma(alpha_j) quantile at eps_j,   x = z / sum z
    dx_i/dalpha_j = g_j (delta_ij - x_i),   g_j = x_j v_j,   v_j = d logit x_j/dalpha_j under Beta(alpha_j, A - alpha_j)

A row of concentrations has one sum A and one psi(A), and only the derivative in the first parameter of each Beta law is
needed. Regimes of v, errors below 1e-9 (see `beta` for the formulas):

    S   x <= 1/2, xA < 2.2 + 1.2 alpha: the series over 8, 16, 32 or 64 terms, as many as the number needs
    U   both parameters >= 10, x near its mean
    else, a few numbers: `beta.velocity`
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu import beta, gamma_draws
from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.elementwise import CHUNK, promoted
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.series import BLOCK, digamma, digamma_tail, put, take
from reparam.kernels.cpu.threads import SERIAL_BELOW, run_chunks
from reparam.kernels.tables import table

LEAST, STEPS, LEVELS = 10.0, 23.0, 16  # of U, and of `beta.velocity` in single precision
BINS = (8, 16, 32, 64)  # terms of S
SMALL = (3e-11**0.25, 3e-11**0.125, 3e-11**0.0625, 3e-11**0.03125)  # 3e-11^(2/n): bounds, see `sort_slopes`
# rows of the flat scratch, at constant distances so that loops over it need no alias checks
_D, _E, _R, _M, _C, _A, _X, _S, _PSI, _LOG, _ALPHA, _OUT = (k * BLOCK for k in range(12))
SERIES, CENTRE, REST = 0, 4, 5  # regimes; SERIES + k has BINS[k] terms


@jit(forceinline=True)
def _bound(n, a, s):
    """(S (S+n-1))/((a+1)(a+n)), at least 1; its denominator is positive."""
    return max(s * (s + (n - 1.0)) / ((a + 1.0) * (a + n)), 1.0)


@jit
def sort_slopes(a, b, x, y, n, code, index, count):
    """List S by terms, U and the rest.

    The terms t_n = x^n (S)_n/(a+1)_n have (t_n)^(2/n) <= x^2 S (S+n-1)/((a+1)(a+n)) where S > a + 1, for
    log (S+j)/(a+1+j) is convex in j; else t_n <= x^n.
    """
    for i in range(n):
        p, q, u = a[i], b[i], x[i]
        s = p + q
        xs, ys, square = u * s, y[i] * s, u * u
        bins = 0 if square * _bound(8.0, p, s) < SMALL[0] else 1
        bins = bins if square * _bound(16.0, p, s) < SMALL[1] else 2
        bins = bins if square * _bound(32.0, p, s) < SMALL[2] else 3
        bins = bins if square * _bound(64.0, p, s) < SMALL[3] else REST
        bins = bins if xs < 2.2 + 1.2 * p else REST
        near = min(xs - 0.37 * p, ys - 0.37 * q) > 0.0 and max(xs - 2.7 * p, ys - 2.7 * q) < 0.0
        bins = CENTRE if near and min(p, q) >= LEAST else bins
        code[i] = bins if u <= 0.5 else REST
    for k in range(6):
        count[k] = 0
    for i in range(n):
        k = code[i]
        index[k, count[k]] = i
        count[k] += 1


@jit(forceinline=True)
def _term(k, a, c, x, s, d, e, r, m):
    """One term of S: D, E = D_a, R, M = R_a, each scaled so that no product overflows."""
    q, p = a + k * c, x * (s + (k - 1.0))
    e, d = c * d + q * e, q * d
    m = e + x * r + p * m
    return d, e, d + p * r, m


@jit
def _series(W, m, terms):
    """v = -[R (log x - psi(a+1) + psi(S)) + R_a]/a over a multiple of eight terms, all in rows of W."""
    for i in range(m):
        a = W[_ALPHA + i]
        c = 1.0 / max(a, 1.0)
        W[_C + i], W[_A + i], W[_X + i] = c, a * c, W[_X + i] * c
        W[_D + i], W[_E + i], W[_R + i], W[_M + i] = 1.0, 0.0, 1.0, 0.0
    for k in range(terms, 0, -8):
        for i in range(m):
            w, c, t, u = W[_A + i], W[_C + i], W[_X + i], W[_S + i]
            d, e, r, g = _term(k, w, c, t, u, W[_D + i], W[_E + i], W[_R + i], W[_M + i])
            d, e, r, g = _term(k - 1.0, w, c, t, u, d, e, r, g)
            d, e, r, g = _term(k - 2.0, w, c, t, u, d, e, r, g)
            d, e, r, g = _term(k - 3.0, w, c, t, u, d, e, r, g)
            d, e, r, g = _term(k - 4.0, w, c, t, u, d, e, r, g)
            d, e, r, g = _term(k - 5.0, w, c, t, u, d, e, r, g)
            d, e, r, g = _term(k - 6.0, w, c, t, u, d, e, r, g)
            d, e, r, g = _term(k - 7.0, w, c, t, u, d, e, r, g)
            W[_D + i], W[_E + i], W[_R + i], W[_M + i] = d, e, r, g
    for i in range(m):
        a = W[_ALPHA + i]
        top = a + (terms + 1.0)
        L = W[_LOG + i] + W[_PSI + i] - el.log(top) - digamma_tail(top)
        W[_OUT + i] = -(W[_R + i] * L + W[_M + i]) / (a * W[_D + i])


@jit
def slopes(a, b, psi, x, y, log_x, log_y, n, series, W, code, index, count, v):
    """Fill v, n <= BLOCK."""
    sort_slopes(a, b, x, y, n, code, index, count)
    ga, gs, gp, gx, gl, out = W[_ALPHA:], W[_S:], W[_PSI:], W[_X:], W[_LOG:], W[_OUT:]
    for regime in range(6):
        m, rows = count[regime], index[regime]
        if m == 0:
            continue
        take(a, rows, m, ga)
        take(b, rows, m, gs)
        if regime < CENTRE:
            for j in range(m):
                gs[j] += ga[j]
            take(psi, rows, m, gp)
            take(x, rows, m, gx)
            take(log_x, rows, m, gl)
            _series(W, m, BINS[regime])
        elif regime == CENTRE:
            take(x, rows, m, gx)
            take(y, rows, m, gl)
            for j in range(m):
                gp[j] = el.log1p((gx[j] * gs[j] - gl[j] * ga[j]) / ga[j])
                gs[j] += ga[j]
            beta.uniform(series[0], series[1], series[2], gp, ga, gs, m, W[_D:], W[_E:], out)
        else:
            for j in range(m):
                gl[j] = min(max(log_x[rows[j]] - log_y[rows[j]], -700.0), 700.0)
            beta.velocity(
                ga[:m], gs[:m], gl[:m], out[:m], gx[:m], series[0], series[1], series[2], LEAST, STEPS, LEVELS
            )
        put(out, rows, m, v)


@jit
def _others(values, start, K, out):
    """out_j = sum of the other entries of a row, without subtraction; return the sum of all."""
    total = 0.0
    for j in range(K):
        out[start + j] = total
        total += values[start + j]
    after = 0.0
    for j in range(K - 1, -1, -1):
        out[start + j] += after
        after += values[start + j]
    return total


@jit
def _repeated(values, K, out):
    """out = values, each K times."""
    for row in range(values.size):
        value = values[row]
        for j in range(row * K, row * K + K):
            out[j] = value


@jit
def normalise(y, K, z, rest, log_x, log_rest):
    """From y = log z: x (in z), 1 - x and their logarithms. Loops run over all rows at once where they can."""
    rows = y.size // K
    tops = np.empty(rows)
    for row in range(rows):
        top = y[row * K]
        for j in range(row * K + 1, row * K + K):
            top = max(top, y[j])
        tops[row] = top
    _repeated(tops, K, log_x)
    for i in range(y.size):
        y[i] -= log_x[i]
        z[i] = el.exp(y[i])
    for row in range(rows):
        tops[row] = _others(z, row * K, K, rest)
    _repeated(tops, K, log_rest)
    for row in range(rows):
        tops[row] = el.log(tops[row])
    _repeated(tops, K, log_x)
    for i in range(y.size):
        inverse = 1.0 / log_rest[i]
        z[i] *= inverse
        rest[i] *= inverse
        log_x[i] = y[i] - log_x[i]
    for i in range(y.size):
        log_rest[i] = el.log(rest[i])


@jit
def draw(alpha, eps, K, moving, x, rest, field, gamma_series, fit, series):
    """Fill x and, where `moving`, 1 - x and the field g, for rows of K numbers."""
    size = alpha.size
    a, e, y, z, q = np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for i in range(size):
        a[i] = alpha[i]
        e[i] = eps[i]
    gamma_draws.single(a, e, False, y, y, gamma_series, fit)
    log_x, log_q = e, np.empty(size)
    normalise(y, K, z, q, log_x, log_q)
    for i in range(size):
        x[i] = z[i]
    if not moving:
        return
    b, psi, sums, psi_sums = y, np.empty(size), np.empty(size // K), np.empty(size // K)
    for row in range(size // K):
        sums[row] = _others(a, row * K, K, b)
    digamma(sums, size // K, psi_sums)
    _repeated(psi_sums, K, psi)
    W, index, count = np.empty(12 * BLOCK), np.empty((6, BLOCK), np.int64), np.empty(6, np.int64)
    v, code = np.empty(BLOCK), np.empty(BLOCK, np.int64)
    for start in range(0, size, BLOCK):
        n = min(BLOCK, size - start)
        part = slice(start, start + n)
        slopes(
            a[part],
            b[part],
            psi[part],
            z[part],
            q[part],
            log_x[part],
            log_q[part],
            n,
            series,
            W,
            code,
            index,
            count,
            v,
        )
        for i in range(n):
            rest[start + i] = q[start + i]
            field[start + i] = z[start + i] * v[i]


@jit
def pull(gradient, x, rest, field, K, out):
    """out_j = sum_i gradient_i dx_i/dalpha_j = g_j (gradient_j (1 - x_j) - sum_{i != j} gradient_i x_i)."""
    products, others = np.empty(K), np.empty(K)
    for start in range(0, x.size, K):
        for j in range(K):
            products[j] = np.float64(gradient[start + j]) * x[start + j]
        _others(products, 0, K, others)
        for j in range(K):
            i = start + j
            out[i] = field[i] * (np.float64(gradient[i]) * rest[i] - others[j])


@cache
def _series_tables() -> tuple[Any, ...]:
    name = "beta_velocity_32"
    return table(name), table(f"{name}_lengths"), table(f"{name}_powers")


def _by_rows(
    kernel: Any, outputs: int, K: int, *tensors: Tensor, tables: tuple[Any, ...] = ()
) -> tuple[Tensor, ...]:
    shape, dtype = promoted(*tensors)
    flat = [t.detach().float().expand(shape).contiguous().view(-1).numpy() for t in tensors]
    results = [empty(shape, torch.float32) for _ in range(outputs)]
    filled = [r.view(-1).numpy() for r in results]
    size = max(1, CHUNK // K) * K
    count = shape.numel()

    def work(chunk: int) -> None:
        part = slice(chunk * size, min((chunk + 1) * size, count))
        kernel(*(a[part] for a in flat), *(r[part] for r in filled), *tables)

    run_chunks(work, -(-count // size), count >= SERIAL_BELOW)
    return tuple(r.to(dtype) for r in results)


def dirichlet_draw(alpha: Tensor, eps: Tensor, moving: bool = False) -> tuple[Tensor, ...]:
    """Return (x,) in single precision, events in the last axis, and where `moving` also 1 - x and the field g."""
    K = alpha.shape[-1]
    tables = (*gamma_draws.tables(), _series_tables())

    def kernel(a: np.ndarray, e: np.ndarray, x: np.ndarray, *more: np.ndarray) -> None:
        rest, field, *given = more if moving else (x, x, *more)
        draw(a, e, K, moving, x, rest, field, *given)

    return _by_rows(kernel, 3 if moving else 1, K, alpha, eps, tables=tables)


def dirichlet_pull(gradient: Tensor, x: Tensor, rest: Tensor, field: Tensor) -> tuple[Tensor, ...]:
    """Return (sum_i gradient_i dx_i/dalpha_j,) from what `dirichlet_draw` gave."""
    K = x.shape[-1]

    def kernel(g: np.ndarray, x: np.ndarray, r: np.ndarray, f: np.ndarray, out: np.ndarray) -> None:
        pull(g, x, r, f, K, out)

    return _by_rows(kernel, 1, K, gradient, x, rest, field)
