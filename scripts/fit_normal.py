"""Fit the rational functions of the normal quantile in `reparam/kernels/reference/laws.py`.

    centre |y| <= 0.425, y = u - 1/2:   z = sqrt(2 pi) y + y t A(x)/B(x), t = y^2, x = t - 0.18
    tail   p = min(u, 1-u), L = -log p:          |z| = z_i + d C_i(d)/D_i(d), d = L - L_i, in six pieces

Each quotient interpolates the exact function (mpmath, 60 digits) at Chebyshev nodes, which is
within a small factor of the best approximation. Prints the tables and the largest relative error of the exact
quotient, so that the rounding of float64 is the only error left.
"""

from mpmath import chop, cos, erfinv, exp, findroot, log, lu_solve, matrix, mp, mpf, ncdf, pi, sqrt

mp.dps = 80


def quantile(p: mpf) -> mpf:
    """Return z with P(Z < z) = p for p < 1/2, by Newton from erfinv or from the tail's asymptote."""
    start = sqrt(2) * erfinv(2 * p - 1) if p > mpf("1e-8") else -sqrt(-2 * log(p))
    return findroot(lambda z: log(ncdf(z)) - log(p), start)


def centre(t: mpf) -> mpf:
    """(z / y - sqrt(2 pi)) / t as a function of t = y^2 > 0."""
    y = sqrt(t)
    return (sqrt(2) * erfinv(2 * y) / y - sqrt(2 * pi)) / t


def tail(L: mpf) -> mpf:
    """|z| as a function of L = -log p."""
    return -quantile(exp(-L))


def interpolate(function, low, high, shift, degree):
    """Solve A(x) - f(x) (B(x) - 1) = f(x) at 2 degree + 1 Chebyshev nodes, x = node - shift."""
    n = 2 * degree + 1
    nodes = [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    rows, right = matrix(n, n), matrix(n, 1)
    for i, node in enumerate(nodes):
        x, f = node - shift, function(node)
        for j in range(degree + 1):
            rows[i, j] = x**j
        for j in range(1, degree + 1):
            rows[i, degree + j] = -f * x**j
        right[i] = f
    solution = chop(lu_solve(rows, right))
    top, bottom = list(solution[: degree + 1]), [mpf(1), *solution[degree + 1 :]]
    worst = mpf(0)
    for k in range(400):
        node = low + (high - low) * k / 399
        x, f = node - shift, function(node)
        value = sum(c * x**j for j, c in enumerate(top)) / sum(c * x**j for j, c in enumerate(bottom))
        worst = max(worst, abs(value / f - 1))
    return top, bottom, worst


def show(name, table):
    print(f"{name} = ({', '.join(repr(float(c)) for c in table)})")


EDGES = ["1.4395", "2.0", "2.7", "3.7", "5.0", "6.7", "9.2"]
MIDDLES = ["1.6875", "2.3125", "3.125", "4.25", "5.75", "7.75"]

if __name__ == "__main__":
    top, bottom, worst = interpolate(centre, mpf("1e-9"), mpf("0.425") ** 2, mpf("0.18"), 8)
    print(f"# largest relative error of the exact quotient: {mp.nstr(worst, 3)}")
    show("CENTRE_TOP", top)
    show("CENTRE_BOTTOM", bottom)
    pieces = []
    for low, high, middle in zip(EDGES[:-1], EDGES[1:], MIDDLES):
        z = mpf(middle)
        L = -log(ncdf(-z))
        slope = lambda x, z=z, L=L: (tail(x) - z) / (x - L)  # noqa: E731
        ends = (-log(ncdf(-mpf(low))), -log(ncdf(-mpf(high))))
        top, bottom, worst = interpolate(slope, *ends, L, 6)
        print(f"# piece at z = {middle}: {mp.nstr(worst, 3)}")
        pieces.append((z, L, ends[1], top, bottom))
    show("TAIL_EDGES", [piece[2] for piece in pieces[:-1]])
    show("TAIL_Z", [piece[0] for piece in pieces])
    show("TAIL_L_HIGH", [piece[1] for piece in pieces])
    show("TAIL_L_LOW", [piece[1] - mpf(float(piece[1])) for piece in pieces])
    for name, part in (("TAIL_TOP", 3), ("TAIL_BOTTOM", 4)):
        print(f"{name} = (")
        for k in range(7):
            print(f"    ({', '.join(repr(float(piece[part][k])) for piece in pieces)}),")
        print(")")
