"""Beta draws and both derivatives from a fit in (eps, a + b, balance): single precision, no iteration.

Reflected so that a <= b (a <-> b, eps <-> -eps, xi <-> -xi). With rho = 1/a + 1/b, delta = (b - a)/(a + b),

    xi = log(a/b) + X,   a dxi/da = 1 + A,   b dxi/db = -(1 + B)

are smooth in (w, rho, delta): w = eps, or eps sqrt(3 rho) in the band rho < 1/3, which reaches to a = b = infinity.
The bands are [0, 1/3) and the octaves [2^(k-1)/3, 2^k/3), k <= 5, so a >= 3/32; |w| <= REACH. X is right to
1e-8 max(1, |xi|), 1 + A and 1 + B to 1e-8 relative; towards rho = 0, X - w and A and B vanish as they should. What lies
outside is left to the caller. The draw is

    LOGIT  xi      UNIT  x = a/(a + b e^-X)      RATIO  z = (b/a) e^xi = e^X
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.cells import CHUNK, STRIP, polynomial3, sort_cells
from reparam.kernels.cpu.jit import jit

REACH = 4.05
BANDS = 6
OCTAVES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # where 3 rho leaves a band
PIECES = (5, 7, 7, 7, 9, 11)  # of w, by band: equal widths from -reach to reach
BALANCES = 3  # delta in [0, .5), [.5, .8), [.8, 1]
CELLS = BALANCES * sum(PIECES)
FUNCTIONS = 3  # X, A, B
LOGIT, UNIT, RATIO = range(3)
E0, E1, E2, E3, E4, E5 = OCTAVES
N0, N1, N2, N3, N4, N5 = (float(n) for n in PIECES)


@jit
def locate(a, b, eps, n, cell, x, y, z):
    """Fill the cell of each number (CELLS where it lies outside the fit) and its local coordinates."""
    for i in range(n):
        p, q = min(a[i], b[i]), max(a[i], b[i])
        rho = 3.0 * (p + q) / (p * q)  # three times rho
        delta = (q - p) / (p + q)
        w = (-eps[i] if a[i] > b[i] else eps[i]) * (1.0 / REACH)
        low = (
            0.0
            if rho < E0
            else (E0 if rho < E1 else (E1 if rho < E2 else (E2 if rho < E3 else (E3 if rho < E4 else E4))))
        )
        pieces = N0 if rho < E0 else (N1 if rho < E3 else (N4 if rho < E4 else N5))
        before = 0.0 if rho < E0 else (N0 if rho < E1 else (N0 + N1 if rho < E2 else (N0 + N1 + N2)))
        before += 0.0 if rho < E3 else (N3 if rho < E4 else N3 + N4)
        w *= np.sqrt(min(rho, 1.0))
        inside = abs(w) < 1.0 and rho < E5
        t = (0.5 * w + 0.5) * pieces
        piece = (t - 0.5 + el.ROUND) - el.ROUND
        x[i] = 2.0 * (t - piece) - 1.0
        y[i] = rho if rho < E0 else 2.0 * (rho - low) / low - 1.0
        part = 0.0 if delta < 0.5 else (1.0 if delta < 0.8 else 2.0)
        z[i] = (
            4.0 * delta - 1.0
            if delta < 0.5
            else ((delta - 0.65) * (20.0 / 3.0) if delta < 0.8 else 10.0 * delta - 9.0)
        )
        cell[i] = BALANCES * (before + piece) + part if inside else CELLS


@jit
def gather(order, m, x, y, z, gx, gy, gz):
    for j in range(m):
        i = order[j]
        gx[j], gy[j], gz[j] = x[i], y[i], z[i]


@jit
def draw(a, b, eps, fit, kind, moving, out, da, db, outside):
    """Fill the draw (and its derivatives where `moving`) inside the fit; list the rest, return how many these are."""
    n = a.size
    size = min(n, CHUNK)
    x, y, z, cell = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    order, first = np.empty(size, np.int64), np.empty(CELLS + 3, np.int64)
    W = np.empty((7, STRIP))
    left = 0
    for start in range(0, n, CHUNK):
        m = min(CHUNK, n - start)
        locate(a[start:], b[start:], eps[start:], m, cell, x, y, z)
        sort_cells(cell, m, CELLS + 1, first, order)
        for c in range(CELLS):
            for low in range(first[c], first[c + 1], STRIP):
                some = order[low : min(low + STRIP, first[c + 1])]
                cell_values(c, some, start, a, b, x, y, z, fit, kind, moving, W, out, da, db)
        for j in range(first[CELLS], m):
            outside[left] = start + order[j]
            left += 1
    return left


@jit
def cell_values(c, members, start, a, b, x, y, z, fit, kind, moving, W, out, da, db):
    """Evaluate the functions of one cell at its members: X, and A and B where `moving`."""
    m = members.size
    coefficients, rows, begin = fit
    gather(members, m, x, y, z, W[0], W[1], W[2])
    for f in range(FUNCTIONS if moving else 1):
        polynomial3(coefficients, rows, begin, FUNCTIONS * c + f, W[0], W[1], W[2], m, W[6], W[3 + f])
    for j in range(m):
        i = start + members[j]
        W[0, j], W[1, j] = a[i], b[i]
    finish(kind, moving, m, W)
    for j in range(m):
        out[start + members[j]] = W[2, j]
    if moving:
        for j in range(m):
            i = start + members[j]
            da[i], db[i] = W[0, j], W[1, j]


@jit
def finish(kind, moving, m, W):
    """From a, b (rows 0, 1 of W) and X, A, B (rows 3, 4, 5) to da, db (rows 0, 1) and the draw (row 2)."""
    X, A, B = W[3], W[4], W[5]
    for j in range(m):
        X[j] = -X[j] if W[0, j] > W[1, j] else X[j]
    if kind == LOGIT:
        for j in range(m):
            W[2, j] = el.log(W[0, j] / W[1, j]) + X[j]
            X[j] = 1.0
    elif kind == RATIO:
        for j in range(m):
            X[j] = W[2, j] = el.exp(X[j])
    else:
        for j in range(m):
            e = el.exp(-X[j])
            r = 1.0 / (W[0, j] + W[1, j] * e)
            W[2, j] = W[0, j] * r
            X[j] = W[2, j] * (W[1, j] * e * r)
    if moving:
        own = 0.0 if kind == RATIO else 1.0  # log z = X has no part log(a/b)
        for j in range(m):
            p, q = W[0, j], W[1, j]
            W[0, j] = X[j] * (own + (B[j] if p > q else A[j])) / p
            W[1, j] = -X[j] * (own + (A[j] if p > q else B[j])) / q


@jit
def from_logit(a, b, kind, moving, xi, da, db):
    """Replace xi and its derivatives by those of the UNIT or the RATIO draw."""
    for i in range(xi.size):
        if kind == UNIT:
            e = el.exp(-abs(xi[i]))
            r = 1.0 / (1.0 + e)
            slope = e * r * r
            xi[i] = r if xi[i] >= 0.0 else e * r
        else:
            slope = el.exp(xi[i] - el.log(a[i] / b[i]))
            xi[i] = slope
        if moving:
            own = 1.0 if kind == RATIO else 0.0
            da[i] = slope * (da[i] - own / a[i])
            db[i] = slope * (db[i] + own / b[i])
