"""Draws of the gamma families and their derivatives in alpha at once: x = T(y - log rate), P(alpha, e^y) = Phi(eps).

    gamma          x = e^l,         dx/dalpha = x v
    inverse_gamma  x = e^-l, at the quantile of -eps,  dx/dalpha = -x v
    exp_gamma      x = l,           dx/dalpha = v

with v = dy/dalpha. Single precision comes from the fitted quantile and velocity (`gamma_fit`), all in double and
rounded once; double precision from `gamma_inverse.quantile` and `gamma.velocity`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu import gamma
from reparam.kernels.cpu import gamma_inverse as gamma_q
from reparam.kernels.cpu.elementwise import CHUNK, promoted
from reparam.kernels.cpu.fill import next_piece
from reparam.kernels.cpu.gamma_fit import BLOCK, LISTS, OUTSIDE, ROWS, fitted
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.series import put, take
from reparam.kernels.cpu.threads import together
from reparam.kernels.tables import slope_tables, table

SIGNS = {"gamma": 1, "inverse_gamma": -1, "exp_gamma": 0}
LEAST_ALPHA, LEVELS, STEP = 12.0, 24, 1e-5  # of double precision: see `families`


@jit
def exact(alpha, eps, moving, y, v, series, fit):
    """Fill y (and v where `moving`) in double precision."""
    velocities, velocity_lengths, inverse, lengths, mills, log_gamma = series
    tails = (mills, log_gamma, gamma.TERMS_64, LEVELS)
    gamma_q.quantile(alpha, eps, y, inverse, lengths, LEAST_ALPHA, tails, STEP, fit)
    if moving:
        gamma.velocity(
            alpha,
            y,
            v,
            v,
            v,
            False,
            velocities,
            velocity_lengths,
            LEAST_ALPHA,
            gamma.TERMS_64,
            LEVELS,
        )


@jit
def outside(alpha, eps, rows, m, moving, Y, v, series, fit):
    """Fill Y and v of the few numbers that the fit does not reach."""
    a, e, y, u = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    take(alpha, rows, m, a)
    take(eps, rows, m, e)
    exact(a, e, moving, y, u, series, fit)
    for j in range(m):
        Y[rows[j]] = y[j] - el.log(max(a[j], 1.0))
    if moving:
        put(u, rows, m, v)


@jit
def single(alpha, eps, moving, y, v, series, fit):
    """Fill y (and v where `moving`) from the fit: errors of 1e-9 and 2e-9."""
    S, code, index = np.empty((ROWS, BLOCK)), np.empty(BLOCK, np.int64), np.empty((LISTS, BLOCK), np.int64)
    count = np.empty(LISTS, np.int64)
    for start in range(0, eps.size, BLOCK):
        n = min(BLOCK, eps.size - start)
        a, e = alpha[start : start + n], eps[start : start + n]
        Y, u = y[start : start + n], v[start : start + n]
        left = fitted(a, e, n, moving, fit, S, code, index, count, Y, u)
        if left > 0:
            outside(a, e, index[OUTSIDE], left, moving, Y, u, series, fit)
        for i in range(n):
            Y[i] += el.log(max(a[i], 1.0))


@jit
def transform(Y, v, scale, n, sign, moving):
    """Turn Y and v into x and dx/dalpha, with scale = max(alpha, 1)/rate."""
    if sign > 0:
        for i in range(n):
            Y[i] = el.exp(Y[i]) * scale[i]
    elif sign < 0:
        for i in range(n):
            Y[i] = el.exp(-Y[i]) / scale[i]
    else:
        for i in range(n):
            Y[i] = Y[i] + el.log(scale[i])
    if moving and sign != 0:
        for i in range(n):
            v[i] *= sign * Y[i]


@jit
def draw32(alpha, rate, eps, sign, moving, x, slope, series, fit):
    """Fill x and, where `moving`, slope = dx/dalpha, from the fit: relative errors of 2e-9 before rounding."""
    S, code, index = np.empty((ROWS, BLOCK)), np.empty(BLOCK, np.int64), np.empty((LISTS, BLOCK), np.int64)
    count, a, e = np.empty(LISTS, np.int64), np.empty(BLOCK), np.empty(BLOCK)
    Y, v, scale = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, eps.size, BLOCK):
        n = min(BLOCK, eps.size - start)
        for i in range(n):
            a[i] = alpha[start + i]
            e[i] = -eps[start + i] if sign < 0 else eps[start + i]
            scale[i] = max(a[i], 1.0) / rate[start + i]
        left = fitted(a, e, n, moving, fit, S, code, index, count, Y, v)
        if left > 0:
            outside(a, e, index[OUTSIDE], left, moving, Y, v, series, fit)
        transform(Y, v, scale, n, sign, moving)
        for i in range(n):
            x[start + i] = Y[i]
        if moving:
            for i in range(n):
                slope[start + i] = v[i]


@jit
def draw64(alpha, rate, eps, sign, moving, x, slope, series, fit):
    """Fill x and, where `moving`, slope = dx/dalpha."""
    e = np.empty(eps.size)
    for i in range(eps.size):
        e[i] = -eps[i] if sign < 0 else eps[i]
    exact(alpha, e, moving, x, slope, series, fit)
    for i in range(eps.size):
        l = x[i] - el.log(rate[i])
        x[i] = l if sign == 0 else el.exp(sign * l)
    if moving and sign != 0:
        for i in range(eps.size):
            v = slope[i]
            slope[i] = sign * v * x[i] if x[i] > 0.0 else 0.0


@jit
def share32(alpha, rate, eps, sign, moving, x, slope, series, fit, taken):
    """Draw a piece at a time; see `kernels.cpu.fill`."""
    pieces = (len(x) + CHUNK - 1) // CHUNK
    while True:
        first = CHUNK * next_piece(taken, pieces)
        if first < 0:
            break
        p = slice(first, min(first + CHUNK, len(x)))
        draw32(alpha[p], rate[p], eps[p], sign, moving, x[p], slope[p], series, fit)


@jit
def share64(alpha, rate, eps, sign, moving, x, slope, series, fit, taken):
    """Draw a piece at a time; see `kernels.cpu.fill`."""
    pieces = (len(x) + CHUNK - 1) // CHUNK
    while True:
        first = CHUNK * next_piece(taken, pieces)
        if first < 0:
            break
        p = slice(first, min(first + CHUNK, len(x)))
        draw64(alpha[p], rate[p], eps[p], sign, moving, x[p], slope[p], series, fit)


@cache
def tables() -> tuple[Any, ...]:
    """Return the tables of double precision and those of the fit."""
    names = ("", "_lengths", "_scales", "_lower", "_upper", "_log_gamma")
    series = (
        slope_tables("gamma_velocity_64"),
        table("gamma_velocity_64_lengths"),
        table("gamma_quantile_64"),
        table("gamma_quantile_64_lengths"),
        table("mills"),
        table("log_gamma_1p"),
    )
    return series, tuple(table(f"gamma_fit{name}") for name in names)


def _draw(name: str, alpha: Tensor, rate: Tensor, eps: Tensor, moving: bool) -> tuple[Tensor, ...]:
    shape, dtype = promoted(alpha, rate, eps)
    working = torch.float64 if dtype == torch.float64 else torch.float32
    share = share64 if dtype == torch.float64 else share32
    flat = [t.detach().to(working).expand(shape).contiguous().view(-1).numpy() for t in (alpha, rate, eps)]
    results = [empty(shape, working) for _ in range(2 if moving else 1)]
    filled = [r.view(-1).numpy() for r in results]
    together(share, *flat, SIGNS[name], moving, filled[0], filled[-1], *tables(), size=shape.numel())
    return tuple(r.to(dtype) for r in results)


def _family(name: str) -> Callable[..., tuple[Tensor, ...]]:
    def draw(alpha: Tensor, rate: Tensor, eps: Tensor, moving: bool = False) -> tuple[Tensor, ...]:
        return _draw(name, alpha, rate, eps, moving)

    draw.__name__ = f"{name}_draw"
    draw.__doc__ = f"Return (x,), the {name} draw at eps, and where `moving` also dx/dalpha at fixed eps."
    return draw


gamma_draw, inverse_gamma_draw, exp_gamma_draw = map(_family, SIGNS)
