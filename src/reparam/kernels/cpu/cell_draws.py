# mypy: allow-untyped-defs
"""Draws by a piecewise fit in single precision: pieces that threads share, then the few numbers that no cell reaches.

A piece is widened to double into memory that a thread keeps, evaluated there and rounded once. The numbers outside the
fit are listed piece by piece, so that their order, like their values, never depends on the threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu import beta_cells, student_cells
from reparam.kernels.cpu.cells import CHUNK
from reparam.kernels.cpu.elementwise import Kernel, promoted
from reparam.kernels.cpu.fill import next_piece
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.threads import run_chunks, together

FEW = 1024  # numbers outside a fit that are worth a thread: they take a microsecond each


@jit
def widen(source, first, target):
    """Copy source[first:] to doubles; a source of one number stands for all."""
    if len(source) == 1:
        target[:] = source[0]
    else:
        part = source[first : first + len(target)]
        for i in range(len(target)):
            target[i] = part[i]


@jit
def narrow(source, first, target):
    """Round doubles to target[first:]."""
    part = target[first : first + len(source)]
    for i in range(len(source)):
        part[i] = source[i]


@jit
def scale(unit, a, b):
    """Multiply both by a unit."""
    if unit != 1.0:
        for i in range(len(a)):
            a[i] *= unit
            b[i] *= unit


@jit
def share_beta(a, b, eps, unit, kind, moving, fit, x, da, db, outside, left, taken):
    """Fill x (and da, db where `moving`) inside the fit, a piece at a time; see `kernels.cpu.fill`.

    The parameters count in a unit: 1, or 1/2 for degrees of freedom.
    """
    n, size = len(x), min(len(x), CHUNK)
    W, rest = np.empty((6, size)), np.empty(size, np.int64)
    while True:
        piece = next_piece(taken, len(left))
        if piece < 0:
            break
        first = piece * CHUNK
        m = min(CHUNK, n - first)
        A, B, E, X, DA, DB = W[0, :m], W[1, :m], W[2, :m], W[3, :m], W[4, :m], W[5, :m]
        widen(a, first, A)
        widen(b, first, B)
        widen(eps, first, E)
        scale(unit, A, B)
        left[piece] = beta_cells.draw(A, B, E, fit, kind, moving, X, DA, DB, rest)
        narrow(X, first, x)
        if moving:
            scale(unit, DA, DB)
            narrow(DA, first, da)
            narrow(DB, first, db)
        for j in range(left[piece]):
            outside[first + j] = first + rest[j]


@jit
def share_student(nu, scale, loc, eps, moving, fit, z, of_nu, of_scale, outside, left, taken):
    """Fill z = loc + scale t (and its derivatives where `moving`) inside the fit, a piece at a time."""
    n, size = len(z), min(len(z), CHUNK)
    W, rest = np.empty((6, size)), np.empty(size, np.int64)
    while True:
        piece = next_piece(taken, len(left))
        if piece < 0:
            break
        first = piece * CHUNK
        m = min(CHUNK, n - first)
        N, S, L, E, T, V = W[0, :m], W[1, :m], W[2, :m], W[3, :m], W[4, :m], W[5, :m]
        widen(nu, first, N)
        widen(scale, first, S)
        widen(loc, first, L)
        widen(eps, first, E)
        left[piece] = student_cells.quantile(N, E, fit, moving, T, V, rest)
        part = slice(first, first + m)
        student_cells.move(T, V, S, L, moving, z[part], of_nu[part], of_scale[part])
        for j in range(left[piece]):
            outside[first + j] = first + rest[j]


def fitted(
    share: Callable[..., None], settings: tuple[Any, ...], exact: Kernel, outputs: int, *tensors: Tensor
) -> tuple[Tensor, ...]:
    """Return the outputs of a shared kernel in single precision or less, mended by `exact` where no cell reaches.

    Args:
        share: (*inputs, *settings, *three outputs, outside, left, taken), flat float32 arrays, of one number or of all.
        settings: what the kernel takes besides.
        exact: (*inputs, *outputs) -> None on flat float64 arrays.
        outputs: 1 or 3.
    """
    shape, dtype = promoted(*tensors)
    flat = [_flat(t.detach().to(torch.float32), shape) for t in tensors]
    results = [empty(shape, torch.float32) for _ in range(outputs)]
    filled, count = [r.view(-1).numpy() for r in results], shape.numel()
    outside, left = np.empty(count, np.int64), np.zeros(-(-count // CHUNK), np.int64)
    targets = filled if outputs == 3 else filled * 3
    together(share, *flat, *settings, *targets, outside, left, size=count)
    if left.any():
        lists = [outside[k * CHUNK : k * CHUNK + left[k]] for k in np.flatnonzero(left)]
        _mend(exact, np.concatenate(lists), flat, filled)
    return tuple(r.to(dtype) for r in results)


def _flat(t: Tensor, shape: torch.Size) -> np.ndarray:
    whole = t if t.numel() == 1 else t.expand(shape).contiguous()
    return whole.view(-1).numpy()


def _mend(exact: Kernel, rows: np.ndarray, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
    """Fill the listed numbers of the outputs."""

    def work(k: int) -> None:
        some = rows[k * FEW : (k + 1) * FEW]
        given = [(a[some] if a.size > 1 else a.repeat(some.size)).astype(np.float64) for a in inputs]
        values = np.full((len(outputs), some.size), np.nan)
        exact(*given, *values)
        with np.errstate(over="ignore", under="ignore"):
            for target, value in zip(outputs, values):
                target[some] = value

    run_chunks(work, -(-rows.size // FEW), rows.size > FEW)
