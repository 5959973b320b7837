"""Make the references of the functions of `special`, derivatives included: tests/references/special.json.

By mpmath at exactly the stored floats, P and I_x by their series of positive terms. With F the distribution function
and f = F_x, derivatives in x are closed forms of f, those in the parameters are central differences with steps of
1e-18 in enough digits. A quantile x(p, theta) has, by F(x, theta) = p (s = -1 for the upper tail, else 1),

    x_j = -F_j/f    x_p = s/f    x_pp = -f_x/f^3    x_pj = -s (f_j + f_x x_j)/f^2
    x_jk = -(F_jk + f_j x_k + f_k x_j + f_x x_j x_k)/f

Run `PYTHONPATH=src:scripts python scripts/make_special_references.py`.
"""

from __future__ import annotations

import json
from itertools import combinations_with_replacement
from pathlib import Path

import mpmath as mp
import numpy as np
import torch
from make_references import beta_series

from reparam import special

OUT = Path(__file__).parent.parent / "tests/references/special.json"
STEP = 18  # digits of a difference's step
SCORES = (-37.0, -8.0, -2.5, -0.4, 0.0, 0.3, 1.5, 4.0, 8.2)
SHAPES = (1e-4, 0.03, 0.9, 1.0, 3.7, 12.1, 400.0, 1e4, 1e6)
PAIRS = (
    (1e-4, 1e-4), (1e-4, 2.5), (1e-4, 1e7), (0.3, 0.8), (1.0, 1.0), (2.0, 3.0), (17.0, 21.0), (0.05, 3e3), (300.0, 1e4),
)  # fmt: skip
ORDERS = (0.0, 0.5, 1.0, 10.0, 100.0)
KAPPAS = (1e-6, 1e-3, 0.3, 4.0, 60.0, 3e3, 1e8)
Number = mp.mpf


def gamma_lower(x: Number, a: Number) -> Number:
    """P(a, x) = x^a e^-x/Gamma(a + 1) sum_n x^n/((a + 1)..(a + n))."""
    term = total = mp.mpf(1)
    n = 0
    while term > mp.eps * total:
        n += 1
        term *= x / (a + n)
        total += term
    return mp.exp(a * mp.log(x) - x - mp.loggamma(a + 1)) * total


def cost(a: Number, b: Number, x: Number) -> float:
    """About how many terms the series takes."""
    return max(0.0, float((x * (a + b) - a) / (1 - x))) + 100 / max(1e-9, -float(mp.log(x)))


def beta_lower(x: Number, a: Number, b: Number) -> Number:
    if cost(a, b, x) <= cost(b, a, 1 - x):
        return beta_series(a, b, x)
    return 1 - beta_series(b, a, 1 - x)


def gamma_density(x: Number, a: Number) -> tuple[Number, Number, list[Number]]:
    """f, f_x and the f_j."""
    f = mp.exp((a - 1) * mp.log(x) - x - mp.loggamma(a))
    return f, f * ((a - 1) / x - 1), [f * (mp.log(x) - mp.psi(0, a))]


def beta_density(x: Number, a: Number, b: Number) -> tuple[Number, Number, list[Number]]:
    u, v = mp.log(x), mp.log(1 - x)
    f = mp.exp((a - 1) * u + (b - 1) * v - mp.loggamma(a) - mp.loggamma(b) + mp.loggamma(a + b))
    both = mp.psi(0, a + b)
    return (
        f,
        f * ((a - 1) / x - (b - 1) / (1 - x)),
        [f * (u + both - mp.psi(0, a)), f * (v + both - mp.psi(0, b))],
    )


LAWS = {"gamma": (gamma_lower, gamma_density), "beta": (beta_lower, beta_density)}


def differences(function, arguments: list[Number]) -> tuple[Number, list[Number], dict]:
    """A function's value, first and second derivatives in all arguments."""
    size = len(arguments)
    steps = [mp.mpf(10) ** -STEP * abs(a) if a else mp.mpf(10) ** -STEP for a in arguments]

    def at(*moves: tuple[int, int]) -> Number:
        moved = list(arguments)
        for j, k in moves:
            moved[j] += k * steps[j]
        return function(*moved)

    middle = at()
    ends = [(at((j, 1)), at((j, -1))) for j in range(size)]
    first = [(up - down) / (2 * h) for (up, down), h in zip(ends, steps)]
    second = {}
    for j, k in combinations_with_replacement(range(size), 2):
        if j == k:
            second[j, k] = (ends[j][0] - 2 * middle + ends[j][1]) / steps[j] ** 2
        else:
            corner = at((j, 1), (k, 1)) + at((j, -1), (k, -1)) + 2 * middle
            second[j, k] = (corner - sum(ends[j]) - sum(ends[k])) / (2 * steps[j] * steps[k])
    return middle, first, second


def function_row(name: str, x: float, parameters: list[float]) -> dict:
    """F, 1 - F and the derivatives of F; arguments in the order parameters, x."""
    lower, density = LAWS[name]
    exact, at = [mp.mpf(p) for p in parameters], mp.mpf(x)
    F, first, second = differences(lambda *theta: lower(at, *theta), exact)
    f, fx, fj = density(at, *exact)
    last = len(exact)
    second |= {(j, last): value for j, value in enumerate(fj)} | {(last, last): fx}
    return row([*parameters, x], F, [*first, f], second, 1 - F)


def inverse_row(name: str, p: float, upper: bool, guess: float, parameters: list[float]) -> dict:
    """x and its derivatives; arguments in the order parameters, p."""
    lower, density = LAWS[name]
    exact, x, s = [mp.mpf(q) for q in parameters], mp.mpf(guess), -1 if upper else 1
    for _ in range(4):
        F = lower(x, *exact)
        F = 1 - F if upper else F
        change = s * mp.log(F / mp.mpf(p)) * F / density(x, *exact)[0]
        x *= mp.exp(-change / x)
        if abs(change / x) < 1e-16:
            break
    _, F_j, F_jk = differences(lambda *theta: lower(x, *theta), exact)
    f, fx, fj = density(x, *exact)
    x_j = [-F / f for F in F_j]
    second = {
        (j, k): -(F + fj[j] * x_j[k] + fj[k] * x_j[j] + fx * x_j[j] * x_j[k]) / f
        for (j, k), F in F_jk.items()
    }
    last = len(exact)
    second |= {(j, last): -s * (fj[j] + fx * x_j[j]) / f**2 for j in range(last)} | {(last, last): -fx / f**3}
    return row([*parameters, p], x, [*x_j, s / f], second)


def row(
    arguments: list[float], value: Number, first: list, second: dict, complement: Number | None = None
) -> dict:
    out = {"arguments": arguments, "value": float(value), "first": [float(d) for d in first]}
    out["second"] = [[j, k, float(d)] for (j, k), d in sorted(second.items())]
    return out if complement is None else out | {"complement": float(complement)}


def points(name: str, parameters: list[float]) -> list[tuple[str, dict]]:
    """Rows of the function and of the inverse of one law at all scores."""
    out = []
    theta = [torch.tensor(p, dtype=torch.float64) for p in parameters]
    for score in SCORES:
        y = float(special.quantile(name, torch.tensor(score, dtype=torch.float64), *theta))
        x = float(np.exp(y)) if name == "gamma" else float(1 / (1 + np.exp(-np.float64(y))))
        if not 1e-280 < x < (np.inf if name == "gamma" else 1 - 1e-13):
            continue
        mp.mp.dps = 80 + int(score**2 / 4)
        tail = float(special.ndtr(torch.tensor(-abs(score), dtype=torch.float64)))
        out.append((name, function_row(name, x, parameters)))
        kind = f"{name}_upper" if score > 0 and name == "gamma" else f"{name}_lower"
        p = 1 - tail if score > 0 and name == "beta" else tail
        if 0 < p < 1:
            out.append((kind, inverse_row(name, p, kind.endswith("upper"), x, parameters)))
    return out


def log_bessel(n: Number, k: Number) -> Number:
    return mp.log(mp.besseli(n, k)) - k


def bessel_rows() -> dict[str, list]:
    mp.mp.dps = 70
    rows = {"bessel_ratio": [], "log_ive": []}
    for n in ORDERS:
        for k in KAPPAS:
            at = [mp.mpf(n), mp.mpf(k)]
            rows["log_ive"].append(row([n, k], *differences(log_bessel, at)))
            if n >= 0.5:
                ratio = differences(lambda n, k: mp.besseli(n, k) / mp.besseli(n - 1, k), at)
                rows["bessel_ratio"].append(row([n, k], *ratio))
        print("bessel", n, flush=True)
    return rows


def log_normal_tail(x: Number) -> Number:
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)


def normal_rows() -> dict[str, list]:
    mp.mp.dps = 120
    xs = (-1e6, -1e3, -37.5, -9.0, -1.01, -0.99, -1e-5, 0.0, 0.3, 1.0, 5.5, 20.0, 36.0)
    rows = []
    for x in xs:
        mp.mp.dps = 80 + (int(x * x / 4) if x > 0 else 0) * 2
        rows.append(row([x], *differences(log_normal_tail, [mp.mpf(x)])))
    return {"log_ndtr": rows}


def main() -> None:
    out: dict[str, list] = normal_rows()
    for name, sets in (("gamma", [(a,) for a in SHAPES]), ("beta", PAIRS)):
        for parameters in sets:
            for kind, found in points(name, list(parameters)):
                out.setdefault(kind, []).append(found)
            print(name, parameters, flush=True)
    out |= bessel_rows()
    OUT.write_text(json.dumps(out, indent=0))


if __name__ == "__main__":
    main()
