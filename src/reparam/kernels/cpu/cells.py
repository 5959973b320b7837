"""Piecewise polynomials in three local coordinates: the fast way to a quantile and its derivatives.

A fit divides its domain into cells. In each cell several functions are polynomials in x, y, z in [-1, 1]:

    f(x, y, z) = sum_j z^j sum_k y^k sum_i c_ijk x^i

stored row by row, (j, k) falling, each row of a multiple of four powers of x. The members of a cell are gathered, so
that its coefficients are constants of loops that the compiler turns into vector code. A result never depends on
which other numbers are evaluated beside it. The coefficients come from scripts/fit_cells.py (cells.npz).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from reparam.kernels.cpu.jit import jit
from reparam.kernels.tables import table

STRIP = 512  # numbers whose scratch stays in the first cache
CHUNK = 16384  # numbers sorted at once


@cache
def fit(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (coefficients, rows, start) of a fit.

    rows[n] = the length of row n, negative where it is the last of its power of z; polynomial number f, counted cell by
    cell, has the rows start[0, f] to start[0, f + 1] and its coefficients begin at start[1, f].
    """
    return table(f"{name}_coefficients"), table(f"{name}_rows"), table(f"{name}_start")


@jit
def sort_cells(cell, n, cells, first, order):
    """Order the numbers by cell (a stable counting sort): cell c has order[first[c]:first[c + 1]]."""
    for c in range(cells + 2):
        first[c] = 0
    for i in range(n):
        first[int(cell[i]) + 2] += 1
    for c in range(cells + 1):
        first[c + 1] += first[c]
    for i in range(n):
        c = int(cell[i]) + 1
        order[first[c]] = i
        first[c] += 1


@jit
def polynomial3(coefficients, rows, start, which, x, y, z, m, inner, out):
    """out = the polynomial number `which` at m points."""
    at = start[1, which]
    for i in range(m):
        out[i] = 0.0
        inner[i] = 0.0
    for n in range(start[0, which], start[0, which + 1]):
        length = abs(rows[n])
        c0, c1, c2, c3 = coefficients[at], coefficients[at + 1], coefficients[at + 2], coefficients[at + 3]
        if length == 4:
            for i in range(m):
                t = x[i]
                inner[i] = inner[i] * y[i] + (((c3 * t + c2) * t + c1) * t + c0)
        else:
            b = at + 4
            c4, c5, c6, c7 = coefficients[b], coefficients[b + 1], coefficients[b + 2], coefficients[b + 3]
            if length == 8:
                for i in range(m):
                    t = x[i]
                    p = ((c7 * t + c6) * t + c5) * t + c4
                    inner[i] = inner[i] * y[i] + ((((p * t + c3) * t + c2) * t + c1) * t + c0)
            else:
                b = at + 8
                c8, c9, ca, cb = (
                    coefficients[b],
                    coefficients[b + 1],
                    coefficients[b + 2],
                    coefficients[b + 3],
                )
                for i in range(m):
                    t = x[i]
                    p = ((cb * t + ca) * t + c9) * t + c8
                    p = (((p * t + c7) * t + c6) * t + c5) * t + c4
                    inner[i] = inner[i] * y[i] + ((((p * t + c3) * t + c2) * t + c1) * t + c0)
        at += length
        if rows[n] < 0:
            for i in range(m):
                out[i] = out[i] * z[i] + inner[i]
                inner[i] = 0.0
