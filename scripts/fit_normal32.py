"""Fit the polynomials of the float32 normal quantile in `reparam/kernels/cpu/normal32.py`.

    w = -log(4 p (1 - p)), p = min(u, 1 - u), y = u - 1/2
    w <= 5:   z = 4 y + y A(w)                           (the form of Giles, "Approximating the erfinv function")
    w > 5:  |z| = 4 + B(sqrt(w - 2) - 3)
    log(1 + x) = x + x^2 C(x), 1 + x in [sqrt(1/2), sqrt(2)]

Each polynomial interpolates the exact function (mpmath, 60 digits) at Chebyshev nodes. Prints the coefficients,
lowest power first, and the largest relative error of z.
"""

from mpmath import cos, erfinv, exp, findroot, log, lu_solve, matrix, mp, mpf, ncdf, pi, sqrt

mp.dps = 60


def quantile(w: mpf) -> tuple[mpf, mpf]:
    """Return (|z|, |y|) at w."""
    q = exp(-w)
    y = sqrt(1 - q) / 2
    p = q / 4 / (mpf(1) / 2 + y)
    if p > mpf("1e-8"):
        return sqrt(2) * erfinv(2 * y), y
    return findroot(lambda t: log(ncdf(-t)) - log(p), sqrt(-2 * log(p))), y


def centre(x: mpf) -> mpf:
    z, y = quantile(x)
    return z / y - 4


def tail(x: mpf) -> mpf:
    return quantile((x + 3) ** 2 + 2)[0] - 4


def logarithm(x: mpf) -> mpf:
    return (log(1 + x) - x) / x**2


def interpolate(function, low, high, degree, size):
    n = degree + 1
    nodes = [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    rows, right = matrix(n, n), matrix(n, 1)
    for i, node in enumerate(nodes):
        right[i] = function(node)
        for j in range(n):
            rows[i, j] = node**j
    c = list(lu_solve(rows, right))
    worst = mpf(0)
    for k in range(300):
        x = low + (high - low) * mpf(k) / 299 + (mpf("1e-20") if k == 0 else 0)
        value = function(x)
        worst = max(worst, abs(sum(c[j] * x**j for j in range(n)) - value) / (value + size))
    return c, worst


if __name__ == "__main__":
    w_max = -log(mpf(2) ** -31 * (1 - mpf(2) ** -33))
    for name, function, low, high, degree, size in (
        ("CENTRE", centre, mpf(0), mpf(5), 9, 4),
        ("TAIL", tail, sqrt(mpf(3)) - 3, sqrt(w_max - 2) - 3, 8, 4),
        ("LOG", logarithm, sqrt(mpf("0.5")) - 1, sqrt(mpf(2)) - 1, 7, 0),
    ):
        c, worst = interpolate(function, low, high, degree, size)
        print(f"{name} = ({', '.join(mp.nstr(x, 10) for x in c)})  # {mp.nstr(worst, 3)}")
