"""Make the many-digit log densities of the vector, matrix, circular and discrete families: densities.json.

At exactly the stored numbers, all of them float32 ones, by the textbook formula in 40 digits. Points of the sphere are
such whose length is 1 without rounding. Run `PYTHONPATH=src:tests python scripts/make_density_references.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

OUT = Path(__file__).parent.parent / "tests/references/densities.json"
mp.mp.dps = 40
Number = mp.mpf
Rows = list[tuple[dict[str, Any], Any]]


def exact(value: Any) -> Any:
    """Every number of nested lists as the float32 next to it."""
    return [exact(v) for v in value] if isinstance(value, list) else float(np.float32(value))


def big(value: Any) -> Any:
    return [big(v) for v in value] if isinstance(value, list) else mp.mpf(value)


def gaussian(d: Any, covariance: mp.matrix) -> Number:
    """-(d' C^-1 d + log det 2 pi C)/2."""
    quadratic = (d.T * mp.lu_solve(covariance, d))[0]
    return -(quadratic + mp.log(mp.det(covariance)) + len(d) * mp.log(2 * mp.pi)) / 2


def away(x: list, loc: list) -> mp.matrix:
    return mp.matrix([a - b for a, b in zip(x, loc)])


def mvn(x: list, loc: list, scale_tril: list) -> Number:
    L = mp.matrix(scale_tril)
    return gaussian(away(x, loc), L * L.T)


def mvn_covariance(x: list, loc: list, covariance_matrix: list) -> Number:
    return gaussian(away(x, loc), mp.matrix(covariance_matrix))


def mvn_precision(x: list, loc: list, precision_matrix: list) -> Number:
    return gaussian(away(x, loc), mp.matrix(precision_matrix) ** -1)


def low_rank(x: list, loc: list, cov_factor: list, cov_diag: list) -> Number:
    W = mp.matrix(cov_factor)
    return gaussian(away(x, loc), W * W.T + mp.diag(cov_diag))


def logistic_normal(x: list, loc: list, scale: list) -> Number:
    """By its sticks s_k = x_k / sum_{j>=k} x_j: the density of logit s_k, over prod x_k (1 - s_k)."""
    total = mp.mpf(0)
    for k in range(len(loc)):
        rest = mp.fsum(x[k + 1 :])
        t = mp.log(x[k] / rest) + mp.log(len(loc) - k)
        total += normal(t, loc[k], scale[k]) - mp.log(x[k]) - mp.log(rest / (x[k] + rest))
    return total


def normal(x: Number, loc: Number, scale: Number) -> Number:
    return -(((x - loc) / scale) ** 2) / 2 - mp.log(scale) - mp.log(2 * mp.pi) / 2


def dirichlet(x: list, concentration: list) -> Number:
    a = concentration
    norm = mp.loggamma(mp.fsum(a)) - mp.fsum(mp.loggamma(v) for v in a)
    return norm + mp.fsum((v - 1) * mp.log(t) for v, t in zip(a, x))


def wishart(x: list, df: Number, scale_tril: list) -> Number:
    X, L = mp.matrix(x), mp.matrix(scale_tril)
    V, p = L * L.T, len(x)
    trace = mp.fsum((mp.inverse(V) * X)[i, i] for i in range(p))
    gamma = mp.mpf(p * (p - 1)) / 4 * mp.log(mp.pi) + mp.fsum(mp.loggamma((df - i) / 2) for i in range(p))
    halves = df * p / 2 * mp.log(2) + df / 2 * mp.log(mp.det(V))
    return (df - p - 1) / 2 * mp.log(mp.det(X)) - trace / 2 - halves - gamma


def lkj(x: list, concentration: Number) -> Number:
    """Of the factor L: prod_i L_ii^(2 eta - 2 + d - i), i = 2 .. d, over the onion's norm."""
    d, eta = len(x), concentration
    total = mp.mpf(0)
    for i in range(1, d):  # row i: direction on the sphere of R^i, height by Beta(i/2, eta + (d - 1 - i)/2)
        total += (2 * eta - 3 + d - i) * mp.log(x[i][i])
        a, b = mp.mpf(i) / 2, eta + mp.mpf(d - 1 - i) / 2
        total -= mp.log(mp.pi) * a + mp.loggamma(b) - mp.loggamma(a + b)
    return total


def sphere_area(n: int) -> Number:
    """log of the area of the unit sphere of R^n."""
    return mp.log(2) + mp.mpf(n) / 2 * mp.log(mp.pi) - mp.loggamma(mp.mpf(n) / 2)


def von_mises_fisher(x: list, loc: list, concentration: Number) -> Number:
    d, k = len(x), concentration
    order = mp.mpf(d) / 2 - 1
    norm = order * mp.log(k) - mp.mpf(d) / 2 * mp.log(2 * mp.pi) - mp.log(mp.besseli(order, k))
    return norm + k * mp.fsum(a * b for a, b in zip(x, loc))


def power_spherical(x: list, loc: list, concentration: Number) -> Number:
    d, k = len(x), concentration
    b = mp.mpf(d - 1) / 2
    a = b + k
    norm = (a + b) * mp.log(2) + b * mp.log(mp.pi) + mp.loggamma(a) - mp.loggamma(a + b)
    return k * mp.log(1 + mp.fsum(u * v for u, v in zip(x, loc))) - norm


def log_softmax(l: list) -> list:
    top = mp.log(mp.fsum(mp.exp(v) for v in l))
    return [v - top for v in l]


def concrete(x: list, temperature: Number, logits: list) -> Number:
    t, K, l = temperature, len(x), log_softmax(logits)
    d = [a - t * mp.log(b) for a, b in zip(l, x)]
    top = mp.log(mp.fsum(mp.exp(v) for v in d))
    return mp.loggamma(K) + (K - 1) * mp.log(t) + mp.fsum(a - mp.log(b) for a, b in zip(d, x)) - K * top


def binary_concrete(x: Number, temperature: Number, logits: Number) -> Number:
    t, d = temperature, logits - temperature * mp.log(x / (1 - x))
    return mp.log(t) + d - 2 * mp.log1p(mp.exp(d)) - mp.log(x) - mp.log(1 - x)


def bernoulli(x: Number, logits: Number) -> Number:
    return -mp.log1p(mp.exp(-logits if x else logits))


def categorical(x: Number, logits: list) -> Number:
    return log_softmax(logits)[int(x)]


def poisson(x: Number, rate: Number) -> Number:
    return x * mp.log(rate) - rate - mp.loggamma(x + 1)


def binomial(x: Number, total_count: Number, logits: Number) -> Number:
    n = total_count
    choose = mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)
    return choose + x * bernoulli(mp.mpf(1), logits) + (n - x) * bernoulli(mp.mpf(0), logits)


def negative_binomial(x: Number, total_count: Number, logits: Number) -> Number:
    r = total_count
    choose = mp.loggamma(x + r) - mp.loggamma(x + 1) - mp.loggamma(r)
    return choose + x * bernoulli(mp.mpf(1), logits) + r * bernoulli(mp.mpf(0), logits)


def geometric(x: Number, logits: Number) -> Number:
    return bernoulli(mp.mpf(1), logits) + x * bernoulli(mp.mpf(0), logits)


def inflated_poisson(x: Number, logits: Number, rate: Number) -> Number:
    usual = bernoulli(mp.mpf(0), logits) + poisson(x, rate)
    return mp.log(mp.exp(bernoulli(mp.mpf(1), logits)) + mp.exp(usual)) if x == 0 else usual


def discretized(x: Number, loc: Number, scale: Number) -> Number:
    """On 0 .. 255."""
    with mp.workdps(1500):  # far in a tail the difference has lost hundreds of digits
        below = 0 if x == 0 else 1 / (1 + mp.exp(-(x - mp.mpf(1) / 2 - loc) / scale))
        above = 0 if x == 255 else 1 / (1 + mp.exp((x + mp.mpf(1) / 2 - loc) / scale))
        return mp.log(1 - below - above)


def discretized_mixture(x: Number, logits: list, loc: list, scale: list) -> Number:
    parts = [l + discretized(x, m, s) for l, m, s in zip(log_softmax(logits), loc, scale)]
    return mp.log(mp.fsum(mp.exp(v) for v in parts))


TRIL = [[1.0, 0.0, 0.0], [0.5, 0.7, 0.0], [-0.3, 0.2, 1.5]]
NARROW = [[1e-3, 0.0, 0.0], [4.0, 1e-2, 0.0], [0.1, -30.0, 50.0]]
COV = [[2.0, 0.5, -0.25], [0.5, 1.0, 0.125], [-0.25, 0.125, 3.0]]
POINTS = [[0.1, -0.4, 2.0], [3.0, 1.0, -7.0]]
AXIS = [1.0, 0.0, 0.0]
HALVES = [0.5, -0.5, 0.5, 0.5]
THIRDS = [[0.2, 0.3, 0.5], [0.001, 0.75, 0.249], [1e-6, 1e-3, 0.998999]]
LOW = [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.3, 0.2, 0.9]]
SPHERE = [(AXIS, [0.0, 1.0, 0.0]), (AXIS, AXIS), (AXIS, [-1.0, 0.0, 0.0])]
SPHERE += [(HALVES, [0.5, 0.5, 0.5, 0.5]), (HALVES, [-0.5, 0.5, -0.5, 0.5])]
SPHERE += [([0.25] * 16, [0.25] * 10 + [-0.25] * 6)]
TABLE: dict[str, tuple[Callable[..., Number], Rows]] = {
    "MVN(L)": (
        mvn,
        [({"loc": [0.0, 1.0, -2.0], "scale_tril": L}, x) for L in (TRIL, NARROW) for x in POINTS],
    ),
    "MVN(C)": (mvn_covariance, [({"loc": [0.0, 1.0, -2.0], "covariance_matrix": COV}, x) for x in POINTS]),
    "MVN(P)": (mvn_precision, [({"loc": [0.0, 1.0, -2.0], "precision_matrix": COV}, x) for x in POINTS]),
    "LowRankMVN": (
        low_rank,
        [
            ({"loc": [0.0, 1.0, -2.0], "cov_factor": [[1.0], [0.5], [-2.0]], "cov_diag": D}, x)
            for D in ([1.0, 0.1, 0.5], [1e-4, 10.0, 3.0])
            for x in POINTS
        ],
    ),
    "LogisticNormal": (
        logistic_normal,
        [({"loc": [0.3, -1.0], "scale": s}, x) for s in ([1.0, 0.3], [5.0, 0.1]) for x in THIRDS],
    ),
    "Dirichlet": (
        dirichlet,
        [
            ({"concentration": a}, x)
            for a in ([0.3, 2.0, 15.0], [1e-3, 1e-2, 1.0], [1e4, 1e5, 1e6])
            for x in THIRDS
        ],
    ),
    "Wishart(L)": (
        wishart,
        [({"df": df, "scale_tril": TRIL}, COV) for df in (2.5, 7.0, 1e3)],
    ),
    "LKJCholesky": (lkj, [({"concentration": eta}, LOW) for eta in (0.1, 1.0, 50.0)]),
    "VonMisesFisher": (
        von_mises_fisher,
        [({"loc": mu, "concentration": k}, x) for mu, x in SPHERE for k in (1e-3, 1.0, 30.0, 1e3)],
    ),
    "PowerSpherical": (
        power_spherical,
        [
            ({"loc": mu, "concentration": k}, x)
            for mu, x in SPHERE
            for k in (1e-3, 1.0, 30.0, 1e3, 1e6)
            if x[0] != -1.0
        ],
    ),
    "RelaxedOneHotCategorical": (
        concrete,
        [({"temperature": t, "logits": [0.3, -1.0, 2.0]}, x) for t in (0.1, 0.5, 2.0) for x in THIRDS],
    ),
    "RelaxedBernoulli": (
        binary_concrete,
        [
            ({"temperature": t, "logits": l}, x)
            for t in (0.1, 0.5, 2.0)
            for l in (-8.0, 0.3)
            for x in (1e-6, 0.3, 0.875)
        ],
    ),
    "Bernoulli": (bernoulli, [({"logits": l}, x) for l in (-40.0, -1e-3, 2.0, 90.0) for x in (0.0, 1.0)]),
    "Categorical": (categorical, [({"logits": [0.3, -40.0, 2.0]}, float(k)) for k in range(3)]),
    "OneHotCategorical": (
        lambda x, logits: categorical(x.index(1), logits),
        [({"logits": [0.3, -40.0, 2.0]}, [float(k == j) for j in range(3)]) for k in range(3)],
    ),
    "Poisson": (
        poisson,
        [({"rate": r}, k) for r, k in ((1e-3, 0), (0.3, 2), (30.0, 41), (1e5, 1e5 + 900), (1e7, 1e7))],
    ),
    "Binomial": (
        binomial,
        [
            ({"total_count": n, "logits": l}, k)
            for n, l, k in ((1, 0.3, 1), (20, -3.0, 5), (1000, 2.0, 890), (1e6, -1.0, 269000), (40, 60.0, 39))
        ],
    ),
    "NegativeBinomial": (
        negative_binomial,
        [
            ({"total_count": r, "logits": l}, k)
            for r, l, k in (
                (1, 0.3, 1),
                (0.01, 3.0, 5),
                (1000, 2.0, 7400),
                (1e6, -1.0, 368000),
                (4, -30.0, 3),
            )
        ],
    ),
    "Geometric": (geometric, [({"logits": l}, k) for l in (-12.0, 0.3, 30.0) for k in (0.0, 7.0, 3e5)]),
    "ZeroInflated(Poisson)": (
        inflated_poisson,
        [({"logits": l, "rate": 2.5}, k) for l in (-30.0, 0.3, 30.0) for k in (0.0, 1.0, 9.0)],
    ),
    "DiscretizedLogistic": (
        discretized,
        [({"loc": 9.5, "scale": s}, k) for s in (0.25, 3.0, 500.0) for k in (0.0, 9.0, 200.0, 255.0)],
    ),
    "DiscretizedLogisticMixture": (
        discretized_mixture,
        [
            ({"logits": [0.3, -1.0], "loc": [9.5, 200.0], "scale": [0.5, 20.0]}, k)
            for k in (0.0, 9.0, 100.0, 255.0)
        ],
    ),
}


def main() -> None:
    """Write the file."""
    out = {}
    for name, (formula, rows) in TABLE.items():
        out[name] = []
        for params, x in rows:
            params, x = {key: exact(value) for key, value in params.items()}, exact(x)
            log_prob = formula(big(x), **{key: big(value) for key, value in params.items()})
            out[name].append({"params": params, "x": x, "log_prob": float(log_prob)})
        print(name, len(rows), flush=True)
    OUT.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
