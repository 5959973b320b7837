"""Make the coefficient tables of the special-function kernels (src/reparam/kernels/tables.npz).

Every table comes from exact rational power series; run `python scripts/make_tables.py` to make the file anew.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import mpmath as mp
import numpy as np

OUT = Path(__file__).parent.parent / "src/reparam/kernels/tables.npz"
QUANTILE_RANGE = (-0.86, 1.2)  # of eps/sqrt(alpha): |log(z/alpha)| < 1 for alpha >= 12
Series = list[Fraction]


def multiply(a: Series, b: Series) -> Series:
    n = min(len(a), len(b))
    return [sum((a[i] * b[k - i] for i in range(k + 1)), Fraction(0)) for k in range(n)]


def invert(a: Series) -> Series:
    out = [1 / a[0]]
    for k in range(1, len(a)):
        out.append(-sum((a[i] * out[k - i] for i in range(1, k + 1)), Fraction(0)) / a[0])
    return out


def derive(a: Series) -> Series:
    return [k * a[k] for k in range(1, len(a))]


def inverse_expm1_over(n: int) -> Series:
    """w / (e^w - 1) to n terms."""
    term, out = Fraction(1), []
    for k in range(1, n + 1):
        term /= k
        out.append(term)
    return invert(out)


def gamma_velocity(orders: int, terms: int) -> list[Series]:
    """g_0 = w/(e^w - 1), g_{k+1} = (g_k'(w) - g_k'(0))/(e^w - 1): v = (z/alpha) sum_k alpha^-k g_k(w)."""
    out = [inverse_expm1_over(terms)]
    for _ in range(1, orders):
        slope = derive(out[-1])
        slope[0] = Fraction(0)
        shifted = slope[1:]  # divide by w, then multiply by w/(e^w - 1)
        out.append(multiply(shifted, out[0]))
    return out


# coefficients c_k of log Gamma*(alpha) = log Gamma(alpha) - ((alpha - 1/2) log alpha - alpha + log(2 pi)/2)
STIRLING = {1: Fraction(1, 12), 3: Fraction(-1, 360), 5: Fraction(1, 1260), 7: Fraction(-1, 1680)}
STIRLING |= {9: Fraction(1, 1188), 11: Fraction(-691, 360360)}


# coefficients d_k of psi(x) - log x
DIGAMMA = {1: Fraction(-1, 2), 2: Fraction(-1, 12), 4: Fraction(1, 120), 6: Fraction(-1, 252)}
DIGAMMA |= {8: Fraction(1, 240), 10: Fraction(-1, 132), 12: Fraction(691, 32760)}


def add(a: Series, b: Series) -> Series:
    return [x + y for x, y in zip(a, b)]


def divide(a: Series, b: Series) -> Series:
    """a / b where both start at order one."""
    assert a[0] == b[0] == 0
    return multiply(a[1:], invert(b[1:]))


def square_root(a: Series) -> Series:
    out = [Fraction(1)]
    for k in range(1, len(a)):
        out.append((a[k] - sum((out[i] * out[k - i] for i in range(1, k)), Fraction(0))) / 2)
    return out


def logarithm(a: Series) -> Series:
    """log of a series that starts at 1: integral of a'/a."""
    slope = multiply(derive(a), invert(a)[:-1])
    return [Fraction(0)] + [c / (k + 1) for k, c in enumerate(slope)]


def exponential(a: Series) -> Series:
    """exp of a series that starts at 0."""
    out = [Fraction(1)]
    for k in range(1, len(a)):
        out.append(sum((j * a[j] * out[k - j] for j in range(1, k + 1)), Fraction(0)) / k)
    return out


def orders_of_log(ratios: list[Series]) -> list[Series]:
    """Coefficients of t^k in log(1 + sum_{k>=1} ratios[k] t^k); ratios[0] is not used."""
    out: list[Series] = [[Fraction(0)] * len(ratios[-1])]
    for k in range(1, len(ratios)):
        total = [k * c for c in ratios[k]]
        for j in range(1, k):
            total = add(total, [-j * c for c in multiply(out[j], ratios[k - j])])
        out.append([c / k for c in total])
    return out


def gamma_score(orders: int, terms: int) -> list[Series]:
    """Normal score ndtri(P) = sqrt(alpha) sum_k alpha^-k s_k(w), w = log(z/alpha).

    From phi(N) dN/dw = density of w: s_0^2/2 = e^w - 1 - w, and
    s_0 s_m = [log s']_{m-1} + c_{m-1} - (1/2) sum_{i+j=m; i,j>=1} s_i s_j.
    """
    inner, term = [], Fraction(2)
    for k in range(2, terms + 2):
        term = Fraction(2, int(mp.factorial(k)))
        inner.append(term)
    s = [[Fraction(0), *square_root(inner)]]
    slope = derive(s[0])
    start = logarithm(slope)
    ratios: list[Series] = [[]]
    for m in range(1, orders):
        top = start if m == 1 else orders_of_log(ratios)[m - 1]
        total = list(top)
        total[0] += STIRLING.get(m - 1, Fraction(0))
        for i in range(1, m):
            total = add(total, [-c / 2 for c in multiply(s[i], s[m - i])])
        s.append(divide(total, s[0]))
        ratios.append(multiply(derive(s[m]), invert(slope)))
    return s


def gamma_quantile(orders: int, terms: int) -> list[Series]:
    """log(z/alpha) = sum_k alpha^-k W_k(y), y = eps/sqrt(alpha): the inverse of the normal score.

    (e^W_0 - 1) W_m = [log w']_{m-1} - c_{m-1} - [e^(W_0 + ... + W_{m-1} alpha^(1-m))]_m.
    """
    s0 = gamma_score(1, terms)[0]
    w0 = [Fraction(0), Fraction(1)]  # invert s0(w) = y order by order
    power = [s0]
    for _ in range(2, len(s0)):
        power.append(multiply(power[-1], s0))
    for k in range(2, len(s0)):  # sum_j w0_j [s0^j]_k = 0
        w0.append(-sum((w0[j] * power[j - 1][k] for j in range(1, k)), Fraction(0)))
    growth = exponential(w0)
    weight = [growth[0] - 1, *growth[1:]]
    w, slope = [w0], derive(w0)
    ratios: list[Series] = [[]]
    for m in range(1, orders):
        total = list(logarithm(slope)) if m == 1 else list(orders_of_log(ratios)[m - 1])
        total[0] -= STIRLING.get(m - 1, Fraction(0))
        size = len(total)
        if m > 1:  # [exp(sum_{k<m} W_k t^k)]_m by the recursion m E_m = sum_j j W_j E_{m-j}
            orders_of_exp = [[Fraction(1)] + [Fraction(0)] * (size - 1)]
            for n in range(1, m + 1):
                acc = [Fraction(0)] * size
                for j in range(1, min(n, m - 1) + 1):
                    acc = add(acc, [j * c / n for c in multiply(w[j], orders_of_exp[n - j])])
                orders_of_exp.append(acc)
            total = add(total, [-c for c in multiply(growth, orders_of_exp[m])])
        w.append(divide(total, weight))
        ratios.append(multiply(derive(w[m]), invert(slope)))
    return w


def beta_velocity(orders: int, terms: int) -> dict[tuple[int, int], Series]:
    """a dxi/da = sum_{i,j} a^-i S^-j c_ij(w), xi = logit x, S = a + b, mu = a/S, w = log(x/mu).

    From G_0 = w/(e^w - 1), G_k = [(1-mu) G'_{k-1} - d_k (1 - mu^k)]/(e^w - 1) - mu G'_{k-1}, a g = sum G_k a^-k,
    whose powers mu^j a^-k are a^-(k-j) S^-j.
    """
    start = inverse_expm1_over(terms)
    rows = {(0, 0): start}
    order = {0: start}  # power of mu -> series, of G_{k-1}
    for k in range(1, orders):
        d = DIGAMMA.get(k, Fraction(0))
        after: dict[int, Series] = {}
        size = len(next(iter(order.values()))) - 1
        zero = [Fraction(0)] * size
        slopes = {j: derive(g) for j, g in order.items()}
        for j in range(k + 1):
            top = add(slopes.get(j, zero), [-c for c in slopes.get(j - 1, zero)])
            top[0] += (-d if j == 0 else 0) + (d if j == k else 0)
            assert top[0] == 0
            row = multiply(top[1:], start)
            after[j] = add(row, [-c for c in slopes.get(j - 1, zero)])
            rows[k - j, j] = after[j]
        order = after
    return rows


def even_quantile(h: Series, constant: dict[int, Fraction], orders: int) -> list[Series]:
    """Quantile of a law with density proportional to e^(-n r^2/2 + h(r)), h even: r = sum_k n^-k R_k(q).

    Here q = eps/sqrt(n), and sqrt(2 pi/n) times the density's factor is exp(sum_k constant[k] n^-k). From
    phi(eps) deps = density dr: [log r']_{m-1} + constant_{m-1} + [h(r)]_{m-1} = q R_m + (1/2) sum R_i R_j.
    """
    size = len(h)
    zero = [Fraction(0)] * size
    r = [[Fraction(0), Fraction(1), *zero[2:]]]
    slopes = [h]  # h^(j)(q)/j!
    while len(slopes) <= orders:
        slopes.append([c / len(slopes) for c in derive(slopes[-1])])
    ratios: list[Series] = [[]]
    for m in range(1, orders):
        total = list(zero) if m == 1 else list(orders_of_log(ratios)[m - 1])
        total[0] += constant.get(m - 1, Fraction(0))
        total = add(total, h if m == 1 else shifted_order(slopes, r, m - 1))
        for i in range(1, m):
            total = add(total, [-c / 2 for c in multiply(r[i], r[m - i])])
        assert total[0] == 0
        r.append(total[1:])
        ratios.append(derive(r[m]))
    return r


def shifted_order(slopes: list[Series], r: list[Series], order: int) -> Series:
    """[h(q + sum_{k>=1} R_k t^k)]_order = sum_j h^(j)/j! [(sum_k R_k t^k)^j]_order."""
    size = min(len(s) for s in r[1 : order + 1])
    power = [[Fraction(0)] * size for _ in range(order + 1)]
    power[0][0] = Fraction(1)
    total = [Fraction(0)] * size
    for j in range(1, order + 1):
        after = [[Fraction(0)] * size for _ in range(order + 1)]
        for n in range(order + 1):
            for k in range(1, n + 1):
                after[n] = add(after[n], multiply(r[k], power[n - k]))
        power = after
        total = add(total, multiply(slopes[j], power[order]))
    return total


def student_quantile(orders: int, terms: int) -> list[Series]:
    """r^2 = log(1 + t^2/nu): h = (1/2) log(r^2/(1 - e^(-r^2))); rows are R_k(q)/q in powers of q^2."""
    term, inner = Fraction(1), []
    for k in range(1, terms + 1):
        term /= k
        inner.append(term * (-1) ** (k - 1))  # (1 - e^-w)/w
    h = [-c / 2 for c in logarithm(inner)]
    even = [h[k // 2] if k % 2 == 0 else Fraction(0) for k in range(2 * terms)]
    constant = {1: Fraction(-1, 4), 3: Fraction(1, 24), 5: Fraction(-1, 20), 7: Fraction(17, 112)}
    constant |= {9: Fraction(-31, 36), 11: Fraction(691, 88)}
    return [row[1::2] for row in even_quantile(even, constant, orders)]


def bessel_constant(orders: int) -> dict[int, Fraction]:
    """-log(I_0(kappa) e^-kappa sqrt(2 pi kappa)) = -log sum_k ((2k-1)!!)^2/(k! 8^k) kappa^-k."""
    c = [Fraction(1)]
    for k in range(1, orders):
        c.append(c[-1] * (2 * k - 1) ** 2 / (8 * k))
    return {k: -v for k, v in enumerate(logarithm(c)) if k > 0}


def vonmises_quantile(orders: int, terms: int) -> list[Series]:
    """r = 2 sin(z/2): h = -(1/2) log(1 - r^2/4); rows are R_k(q)/q in powers of q^2."""
    even = [Fraction(0)] * (2 * terms)
    for k in range(1, terms):
        even[2 * k] = Fraction(1, 2 * k * 4**k)
    return [row[1::2] for row in even_quantile(even, bessel_constant(orders), orders)]


def student_velocity(orders: int, terms: int) -> list[Series]:
    """dt/dnu = t sum_{k>=1} nu^-k h_k(w), w = log(1 + t^2/nu), E = 1 - e^-w.

    h_1 = (1 - w/E)/2, h_{k+1} = [e^-w h_k - h_k(0)]/E + [k = 1]/2 + 2 h_k'.
    """
    decay = exponential([Fraction(0), Fraction(-1)] + [Fraction(0)] * terms)
    over = invert([-c for c in decay[1:]])  # w/E
    rows = [[-c / 2 for c in over]]
    rows[0][0] += Fraction(1, 2)
    for k in range(1, orders):
        h = rows[-1]
        top = multiply(decay, h)
        top[0] -= h[0]
        row = add(multiply(top[1:], over), [2 * c for c in derive(h)])
        row[0] += Fraction(1, 2) if k == 1 else 0
        rows.append(row)
    return rows


def vonmises_velocity(orders: int) -> list[Series]:
    """dz/dkappa = sum_{k>=1} kappa^-k v_k(T), T = tan(z/2); rows are v_k/T in powers of T^2.

    v_1 = -T, v_{k+1} = (1 + T^2)/(2T) [ (1 + T^2)/2 dv_k/dT - v_k'(z = 0) ].
    """
    one = [Fraction(1), Fraction(0), Fraction(1)]

    def product(a: Series, b: Series) -> Series:
        out = [Fraction(0)] * (len(a) + len(b) - 1)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                out[i + j] += x * y
        return out

    v = [Fraction(0), Fraction(-1)]
    rows = [v[1::2]]
    for _ in range(1, orders):
        slope = product(one, [c / 2 for c in derive(v)])
        slope[0] = Fraction(0)
        v = product(one, [c / 2 for c in slope[1:]])
        rows.append(v[1::2])
    return rows


def pack_pairs(
    rows: dict[tuple[int, int], Series], a: float, s: float, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Table, lengths and the (i, j) of each row, ordered for Horner in 1/a inside Horner in 1/S."""
    kept = []
    for (i, j), row in rows.items():
        size = [abs(float(c)) * a**-i * s**-j for c in row]
        last = max((n for n, v in enumerate(size) if v > tolerance), default=-1)
        if last >= 0:
            kept.append((j, i, [float(c) for c in row[: last + 1]]))
    kept.sort(key=lambda r: (-r[0], -r[1]))
    lengths = np.array([-(-len(r[2]) // 4) * 4 for r in kept])
    table = np.zeros((len(kept), lengths.max()))
    for n, (_, _, row) in enumerate(kept):
        table[n, : len(row)] = row
    return table, lengths, np.array([(i, j) for j, i, _ in kept])


def chebyshev(function, low: float, high: float, count: int) -> list[Fraction]:
    """Monomial coefficients in x = (2 t - low - high)/(high - low) of the interpolant in Chebyshev nodes."""
    nodes = [mp.cos(mp.pi * (j + mp.mpf(1) / 2) / count) for j in range(count)]
    values = [function((low + high + (high - low) * x) / 2) for x in nodes]
    monomials = [mp.mpf(0)] * count
    before, now = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    for i in range(count):
        terms = [v * mp.cos(i * mp.pi * (j + mp.mpf(1) / 2) / count) for j, v in enumerate(values)]
        c = 2 * mp.fsum(terms) / count / (2 if i == 0 else 1)
        basis = before if i == 0 else now
        for k, b in enumerate(basis):
            monomials[k] += c * b
        if i > 0:
            after = [mp.mpf(0), *(2 * b for b in now)]
            for k, b in enumerate(before):
                after[k] -= b
            before, now = now, after
    return [Fraction(str(c)) for c in monomials]


def economised(rows: list[Series], low: float, high: float, scale: float, tolerance: float) -> list[Series]:
    """Each power series as the shortest polynomial in x that keeps the tolerance on [low, high]."""
    out = []
    for k, row in enumerate(rows):
        coefficients = [mp.mpf(c.numerator) / c.denominator for c in reversed(row)]
        function = lambda t, c=coefficients: mp.polyval(c, t)  # noqa: E731
        for count in range(4, 45, 4):
            fit = chebyshev(function, low, high, count)
            half, middle = (high - low) / 2, (high + low) / 2
            grid = [mp.mpf(j) / 20 for j in range(-20, 21)]
            poly = [mp.mpf(c.numerator) / c.denominator for c in reversed(fit)]
            error = max(abs(mp.polyval(poly, x) - function(middle + half * x)) for x in grid)
            if error * scale**-k < tolerance:
                break
        out.append(fit)
    return out


def mills() -> Series:
    """(1 + 2t) Phi(-t)/(sqrt(2 pi) phi(t)) as a polynomial in q = (t - 4)/(t + 4), t >= 0."""

    def function(q):
        t = 4 * (1 + q) / (1 - q)
        return mp.erfc(t / mp.sqrt(2)) * mp.exp(t * t / 2) / 2 * (1 + 2 * t)

    return chebyshev(function, -1, 1, 28)[:28]


def mills_gap() -> Series:
    """(1 + t)^2 K(t), K = 1 - t Phi(-t)/phi(t), as a polynomial in q = (t - 4)/(t + 4), t >= 0."""

    def function(q):
        t = 4 * (1 + q) / (1 - q)
        mills = mp.sqrt(mp.pi / 2) * mp.erfc(t / mp.sqrt(2)) * mp.exp(t * t / 2)
        return (1 - t * mills) * (1 + t) ** 2

    return chebyshev(function, -1, 1, 28)[:28]


def log_gamma_1p(terms: int) -> Series:
    """(log Gamma(1 + a) + log(1 + a)) / a = 1 - euler + sum_{n>=2} (-1)^n (zeta(n) - 1) a^(n-1) / n."""
    out = [1 - mp.euler]
    for n in range(2, terms + 1):
        out.append((-1) ** n * (mp.zeta(n) - 1) / n)
    return [Fraction(str(c)) for c in out]


def pack(
    rows: list[Series], scale: float, tolerance: float, bound: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Cut row k where |c_n| scale^-k bound^n falls below the tolerance; pad to a multiple of four."""
    kept = []
    for k, row in enumerate(rows):
        size = [abs(float(c)) * scale**-k * bound**n for n, c in enumerate(row)]
        last = max((n for n, s in enumerate(size) if s > tolerance), default=0)
        kept.append([float(c) for c in row[: last + 1]])
    lengths = np.array([-(-len(row) // 4) * 4 for row in kept])
    table = np.zeros((len(kept), lengths.max()))
    for k, row in enumerate(kept):
        table[k, : len(row)] = row
    return table, lengths


def main() -> None:
    mp.mp.dps = 40
    tables = {}
    score, quantile = gamma_score(11, 60), gamma_quantile(11, 60)
    velocity = gamma_velocity(11, 50)
    for name, orders, alpha, tolerance in (("64", 11, 12.0, 2e-17), ("32", 7, 6.0, 3e-10)):
        tables[f"gamma_velocity_{name}"], tables[f"gamma_velocity_{name}_lengths"] = pack(
            velocity[:orders], alpha, tolerance
        )
        tables[f"gamma_score_{name}"], tables[f"gamma_score_{name}_lengths"] = pack(
            score[:orders], alpha, tolerance
        )
        fitted = economised(quantile[:orders], *QUANTILE_RANGE, alpha, tolerance)
        tables[f"gamma_quantile_{name}"], tables[f"gamma_quantile_{name}_lengths"] = pack(
            fitted, alpha, tolerance / 10
        )
    pairs = beta_velocity(13, 44)
    for name, orders, a, tolerance in (("64", 13, 16.0, 1e-17), ("32", 8, 10.0, 2e-10)):
        rows = {ij: row for ij, row in pairs.items() if sum(ij) < orders}
        parts = pack_pairs(rows, a, 2 * a, tolerance)
        for suffix, part in zip(("", "_lengths", "_powers"), parts):
            tables[f"beta_velocity_{name}{suffix}"] = part
    student, vonmises = student_quantile(11, 40), vonmises_quantile(13, 50)
    for name, rows, bound, scale, tolerance in (
        ("student_quantile_64", student, 1.3, 20.0, 2e-17),
        ("student_quantile_32", student[:7], 1.3, 20.0, 3e-10),
        ("student_velocity_64", student_velocity(14, 60), 1.5, 20.0, 1e-17),
        ("student_velocity_32", student_velocity(10, 40), 1.5, 20.0, 5e-11),
        ("vonmises_quantile_64", vonmises, 1.0, 30.0, 2e-17),
        ("vonmises_quantile_32", vonmises[:7], 1.0, 30.0, 3e-10),
        ("vonmises_velocity_64", vonmises_velocity(20), 0.36, 30.0, 1e-17),
        ("vonmises_velocity_32", vonmises_velocity(9), 0.36, 30.0, 3e-10),
    ):
        tables[name], tables[f"{name}_lengths"] = pack(rows, scale, tolerance, bound)
    tables["mills"] = pack([mills()], 1.0, 1e-30)[0][0]
    tables["mills_gap"] = pack([mills_gap()], 1.0, 1e-30)[0][0]
    tables["log_gamma_1p"] = pack([log_gamma_1p(52)], 1.0, 1e-30)[0][0]
    np.savez_compressed(OUT, **tables)
    print({k: v.shape for k, v in tables.items()}, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
