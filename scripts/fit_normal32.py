"""Fit the quotients of the float32 normal quantile in `reparam/kernels/cpu/normal.py`.

    centre, p = min(u, 1 - u) >= EDGE:    z = y (C + P(x)/Q(x)), y = u - 1/2, x = p (1 - p) - r
    tail, L = -log p:                   |z| = U(L)/V(L)

x = 0 lies at the edge, where P and Q are then exact up to one rounding and C has the smallest share of z. Each quotient interpolates the exact function (mpmath, 60 digits) at Chebyshev nodes, in log r and in sqrt L. Prints the
tables, lowest power first, and the largest relative error of z.
"""

import numpy as np
from mpmath import (
    binomial,
    cos,
    erfinv,
    exp,
    findroot,
    log,
    lu_solve,
    matrix,
    mp,
    mpf,
    ncdf,
    pi,
    polyval,
    sqrt,
)

mp.dps = 60
EDGE, C, DEGREE = mpf(2) ** -6, mpf("2.84375"), 5


def quantile(p: mpf) -> mpf:
    """Return |z| with P(Z < -|z|) = p."""
    if p > mpf("1e-8"):
        return sqrt(2) * erfinv(1 - 2 * p)
    return findroot(lambda z: log(ncdf(-z)) - log(p), sqrt(-2 * log(p)))


def centre(r: mpf) -> mpf:
    """Return z / y at r = p (1 - p) < 1/4."""
    y = sqrt(mpf(1) / 4 - r)
    return quantile(r / (mpf(1) / 2 + y)) / y


def tail(L: mpf) -> mpf:
    return quantile(exp(-L))


def nodes(low: mpf, high: mpf, count: int) -> list[mpf]:
    """Return the Chebyshev nodes of an interval."""
    return [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * k + 1) / (2 * count)) for k in range(count)]


def interpolate(function, at, degree):
    """Return top and bottom of the quotient, of one degree, that equals the function at 2 degree + 1 nodes."""
    n = len(at)
    rows, right = matrix(n, n), matrix(n, 1)
    for i, x in enumerate(at):
        right[i] = function(x)
        for j in range(degree + 1):
            rows[i, j] = x**j
        for j in range(1, degree + 1):
            rows[i, degree + j] = -right[i] * x**j
    solution = list(lu_solve(rows, right))
    return solution[: degree + 1], [mpf(1), *solution[degree + 1 :]]


def worst(function, top, bottom, at):
    return max(abs(polyval(top[::-1], x) / polyval(bottom[::-1], x) / function(x) - 1) for x in at)


def moved(c, r):
    """Return the coefficients of the same polynomial in x - r."""
    return [sum(c[j] * binomial(j, k) * r ** (j - k) for j in range(k, len(c))) for k in range(len(c))]


def show(name, table, digits):
    print(f"{name} = ({', '.join(mp.nstr(x, digits) for x in table)})")


if __name__ == "__main__":
    low, high = log(EDGE * (1 - EDGE)), log(mpf(1) / 4)
    top, bottom = interpolate(centre, [exp(x) for x in nodes(low, high, 2 * DEGREE + 1)], DEGREE)
    grid = [exp(low + (high - low) * mpf(k) / 400) for k in range(400)]
    print(f"# centre: {mp.nstr(worst(centre, top, bottom, grid), 3)}")
    r = mpf(float(np.float32(float(EDGE * (1 - EDGE)))))
    top, bottom = moved(top, r), moved(bottom, r)
    scale = bottom[0]
    show("R", [r], 17)
    show("P", [(a - C * b) / scale for a, b in zip(top, bottom)], 10)
    show("Q", [b / scale for b in bottom], 10)
    low, high = sqrt(-log(EDGE * mpf("1.01"))), sqrt(33 * log(mpf(2)))
    top, bottom = interpolate(tail, [x**2 for x in nodes(low, high, 11)], 5)
    grid = [(low + (high - low) * mpf(k) / 400) ** 2 for k in range(401)]
    print(f"# tail: {mp.nstr(worst(tail, top, bottom, grid), 3)}")
    show("U", top, 17)
    show("V", bottom, 17)
