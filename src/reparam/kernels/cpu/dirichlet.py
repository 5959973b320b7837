"""A Dirichlet draw in single precision with its field, in one pass; all in double and rounded once.

    log z_j = log of the Gamma(alpha_j) quantile at eps_j,   x = z / sum z
    dx_i/dalpha_j = g_j (delta_ij - x_i),   g_j = x_j v_j,   v_j = d logit x_j/dalpha_j under Beta(alpha_j, A - alpha_j)

A row of concentrations has one sum A and one psi(A); v comes from `dirichlet_slopes`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu import gamma_draws
from reparam.kernels.cpu.dirichlet_slopes import BLOCK, REGIMES, REST, ROWS, others, slopes
from reparam.kernels.cpu.elementwise import CHUNK, promoted
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.series import digamma
from reparam.kernels.cpu.threads import SERIAL_BELOW, run_chunks
from reparam.kernels.tables import table

SPAN = 8192  # numbers whose arrays stay in the second cache


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
def _without(values, K, rest, sums):
    """rest_j = the sum of the other entries of a row, sums = that of all; by subtraction where that is exact enough."""
    for row in range(sums.size):
        total, top = 0.0, 0.0
        for j in range(row * K, row * K + K):
            total += values[j]
            top = max(top, values[j])
        sums[row] = total if top <= 0.999 * total else -_others(values, row * K, K, rest)
    for row in range(sums.size):
        if sums[row] > 0.0:
            for j in range(row * K, row * K + K):
                rest[j] = sums[row] - values[j]
        sums[row] = abs(sums[row])


@jit
def normalise(y, K, z, rest, log_x):
    """From y = log z: x (in z), 1 - x and log x. Loops run over all rows at once where they can."""
    rows = y.size // K
    sums = np.empty(rows)
    for row in range(rows):
        top = y[row * K]
        for j in range(row * K + 1, row * K + K):
            top = max(top, y[j])
        sums[row] = top
    _repeated(sums, K, log_x)
    for i in range(y.size):
        y[i] -= log_x[i]
        z[i] = el.exp(y[i])
    _without(z, K, rest, sums)
    inverse = np.empty(rows)
    for row in range(rows):
        inverse[row] = 1.0 / sums[row]
        sums[row] = el.log(sums[row])
    for row in range(rows):
        for j in range(row * K, row * K + K):
            z[j] *= inverse[row]
            rest[j] *= inverse[row]
            log_x[j] = y[j] - sums[row]


@jit
def draw(alpha, eps, K, moving, x, rest, field, gamma_series, fit, series):
    """Fill x and, where `moving`, 1 - x and the field g, for rows of K numbers."""
    size = min(alpha.size, max(1, SPAN // K) * K)
    a, y, z, q, log_x = np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    sums, psi_sums, psi = np.empty(size // K), np.empty(size // K), np.empty(size)
    W, index, count = (
        np.empty(ROWS * BLOCK),
        np.empty((REGIMES, BLOCK), np.int64),
        np.empty(REGIMES, np.int64),
    )
    v, code, left, missing = np.empty(size), np.empty(BLOCK), np.empty((5, alpha.size)), 0
    for begin in range(0, alpha.size, size):
        n = min(size, alpha.size - begin)
        e, rows = log_x, n // K
        for i in range(n):
            a[i] = alpha[begin + i]
            e[i] = eps[begin + i]
        gamma_draws.single(a[:n], e[:n], False, y, y, gamma_series, fit)
        normalise(y[:n], K, z, q, log_x)
        for i in range(n):
            x[begin + i] = z[i]
        if not moving:
            continue
        b = y
        _without(a, K, b, sums[:rows])
        digamma(sums, rows, psi_sums)
        _repeated(psi_sums[:rows], K, psi)
        for start in range(0, n, BLOCK):
            m = min(BLOCK, n - start)
            p = slice(start, start + m)
            slopes(a[p], b[p], psi[p], z[p], q[p], log_x[p], m, series, W, code, index, count, v[p])
            for j in range(count[REST]):
                i = start + index[REST, j]
                left[0, missing], left[1, missing], left[2, missing] = a[i], b[i], log_x[i] - el.log(q[i])
                left[3, missing], left[4, missing] = z[i], begin + i
                missing += 1
        for i in range(n):
            rest[begin + i] = q[i]
            field[begin + i] = z[i] * v[i]
    if missing > 0:
        others(left, missing, series, field)


@jit
def pull(gradient, x, rest, field, K, out):
    """out_j = sum_i gradient_i dx_i/dalpha_j = g_j (gradient_j (1 - x_j) - sum_{i != j} gradient_i x_i)."""
    size = min(x.size, max(1, BLOCK // K) * K)
    products, left, sums = np.empty(size), np.empty(size), np.empty(size // K)
    for start in range(0, x.size, size):
        n = min(size, x.size - start)
        G, X, R = gradient[start : start + n], x[start : start + n], rest[start : start + n]
        for i in range(n):
            products[i] = np.float64(G[i]) * np.float64(X[i])
        for row in range(n // K):
            total, least = 0.0, np.float32(1.0)
            for j in range(row * K, row * K + K):
                total += products[j]
                least = min(least, R[j])
            sums[row] = total
            if least < 1e-6:
                _others(products, row * K, K, left)
            else:
                for j in range(row * K, row * K + K):
                    left[j] = total - products[j]
        for i in range(n):
            out[start + i] = field[start + i] * (np.float64(G[i]) * R[i] - left[i])


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
