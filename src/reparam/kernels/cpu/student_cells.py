"""Student's t and its derivative in df from a fit in (|eps|, nu): single precision, no iteration.

    t^2 = nu (e^L - 1),  L = eps^2 M/nu,   dt/dnu = t H/nu^2

with M and H smooth in (|eps|, nu) for nu in the octaves [2^(k-3), 2^(k-2)), k < 5, and in (|eps|, 1/nu) for nu >= 8,
|eps| < REACH. Both are right to 1e-8 relative. What lies outside is left to the caller.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.cells import CHUNK, STRIP, polynomial3, sort_cells
from reparam.kernels.cpu.jit import jit

REACH = 4.05
LEAST = 0.25
OCTAVES = 5
PIECES = 8  # of |eps|, of equal width
CELLS = PIECES * (OCTAVES + 1)


@jit
def locate(nu, eps, n, cell, x, y):
    """Fill the cell of each number (CELLS where it lies outside the fit) and its local coordinates."""
    for i in range(n):
        v = nu[i]
        band = 0.0 if v < 0.5 else (1.0 if v < 1.0 else (2.0 if v < 2.0 else (3.0 if v < 4.0 else 4.0)))
        low = 0.25 if v < 0.5 else (0.5 if v < 1.0 else (1.0 if v < 2.0 else (2.0 if v < 4.0 else 4.0)))
        s = abs(eps[i]) * (1.0 / REACH)
        inside = s < 1.0 and v >= LEAST
        t = s * PIECES
        piece = (t - 0.5 + el.ROUND) - el.ROUND
        x[i] = 2.0 * (t - piece) - 1.0
        y[i] = 8.0 / v if v >= 8.0 else 2.0 * (v - low) / low - 1.0
        cell[i] = PIECES * (5.0 if v >= 8.0 else band) + piece if inside else CELLS


@jit
def quantile(nu, eps, fit, moving, t, v, outside):
    """Fill t (and v = dt/dnu where `moving`) inside the fit; list the rest, return how many these are."""
    n = nu.size
    size = min(n, CHUNK)
    x, y, cell = np.empty(size), np.empty(size), np.empty(size)
    order, first = np.empty(size, np.int64), np.empty(CELLS + 3, np.int64)
    W = np.empty((5, STRIP))
    left = 0
    for start in range(0, n, CHUNK):
        m = min(CHUNK, n - start)
        locate(nu[start:], eps[start:], m, cell, x, y)
        sort_cells(cell, m, CELLS + 1, first, order)
        for c in range(CELLS):
            for low in range(first[c], first[c + 1], STRIP):
                some = order[low : min(low + STRIP, first[c + 1])]
                cell_values(c, some, start, nu, eps, x, y, fit, moving, W, t, v)
        for j in range(first[CELLS], m):
            outside[left] = start + order[j]
            left += 1
    return left


@jit
def cell_values(c, members, start, nu, eps, x, y, fit, moving, W, t, v):
    """Evaluate M, and H where `moving`, of one cell at its members."""
    m = members.size
    coefficients, rows, begin = fit
    X, Y, M, H, Z = W[0], W[1], W[2], W[3], W[4]
    for j in range(m):
        X[j], Y[j] = x[members[j]], y[members[j]]
    polynomial3(coefficients, rows, begin, 2 * c, X, Y, X, m, Z, M)
    if moving:
        polynomial3(coefficients, rows, begin, 2 * c + 1, X, Y, X, m, Z, H)
    for j in range(m):
        i = start + members[j]
        X[j], Y[j] = nu[i], eps[i]
    for j in range(m):
        size = np.sqrt(X[j] * el.expm1(Y[j] * Y[j] * M[j] / X[j]))
        M[j] = size if Y[j] >= 0.0 else -size
    for j in range(m):
        t[start + members[j]] = M[j]
    if moving:
        for j in range(m):
            H[j] = M[j] * H[j] / (X[j] * X[j])
        for j in range(m):
            v[start + members[j]] = H[j]


@jit
def move(t, v, scale, loc, moving, z, of_nu, of_scale):
    """z = loc + scale t and, where `moving`, its derivatives in nu and scale."""
    for i in range(t.size):
        z[i] = loc[i] + scale[i] * t[i]
    if moving:
        for i in range(t.size):
            of_nu[i] = scale[i] * v[i]
            of_scale[i] = t[i]
