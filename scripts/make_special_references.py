"""Make the references of the functions of `special`: tests/references/special_{gamma,beta,bessel,normal}.json.

By ball arithmetic (flint) at exactly the stored floats; P and I_x by their series of positive terms. All derivatives
to the third order are forward differences with steps 2^-100 theta_i in enough digits, whose truncation is some
2^-100 of the next derivative. A quantile x(theta, p) solves F(theta, x) = p as a polynomial in the differences of its
arguments. A second derivative D comes with its scale, what moving each argument by its own size (1 where it is 0) would
move it:

    max(|D|, sum_i |theta_i dD/dtheta_i|)

Every fifth row of moderate arguments is compared with mpmath's own functions and `mpmath.diff`.

Run `PYTHONPATH=src:scripts python scripts/make_special_references.py [gamma] [beta] [bessel] [normal]`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement, product
from pathlib import Path

import mpmath as mp
import torch
from flint import arb, ctx

from reparam import special

OUT = Path(__file__).parent.parent / "tests/references"
STEP_BITS, BITS = 100, 450  # three steps' worth of cancellation and some 45 digits
SCORES = (-37.0, -20.0, -8.0, -2.5, -0.4, 0.0, 0.3, 1.5, 4.0, 8.2)
FAR_SCORES = (20.0, 36.0)  # of the upper inverse only
SHAPES = (1e-4, 0.03, 0.3, 0.9, 1.0, 3.7, 5.0, 11.99, 12.1, 400.0, 1e3, 1e4, 1e5, 1e6, 1e7)
EDGES = (  # of the kernels' regimes: z = 3.5 + 1.5 alpha, |log(z/alpha)| = 1, alpha = 1 and 12
    (0.03, 3.54), (0.03, 3.55), (0.999999, 4.9), (1.000001, 5.1), (3.7, 9.04), (3.7, 9.06), (11.999999, 21.49),
    (11.999999, 21.51), (12.000001, 4.4145), (12.000001, 4.4147), (12.000001, 32.61), (12.000001, 32.63), (60.0, 22.05),
    (60.0, 22.1), (60.0, 163.0), (60.0, 163.2), (1.0, 6e-16), (0.3, 1e-18), (5.0, 1e-17), (1.0, 1e-8), (2.0, 1e-20),
)  # fmt: skip
PAIRS = (
    (1e-4, 1e-4), (1e-4, 2.5), (1e-4, 1e7), (0.3, 0.8), (1.0, 1.0), (2.0, 3.0), (17.0, 21.0), (0.05, 3e3), (300.0, 1e4),
    (1e-3, 1e6), (0.5, 1e6), (40.0, 2e5), (1e4, 1e4), (1e6, 1e6), (1e6, 3.0), (5.0, 1e5), (1e7, 0.02), (2e5, 1e5),
    (1e7, 9.0), (1e7, 3e6), (1e-3, 1e-3), (0.5, 5e-3),
)  # fmt: skip
BETA_EDGES = (  # a, b, x S: at x S = 1.5 and 2.2 + 1.2 a, a = .1 and 16 and 20 and 400, |log(x/mu)| = 1, x = 1/2
    (0.05, 30.0, 1.559), (0.05, 30.0, 1.561), (0.05, 30.0, 2.199), (0.05, 30.0, 2.201), (0.05, 30.0, 2.259),
    (0.05, 30.0, 2.261), (1e-3, 44.6, 2.2009), (1e-3, 1e4, 0.0999), (1e-3, 1e4, 0.1001), (0.0999, 5.0, 0.5),
    (0.1001, 5.0, 0.5), (0.1001, 5.0, 1.63), (3.0, 50.0, 5.09), (3.0, 50.0, 5.11), (3.0, 1e6, 5.79), (3.0, 1e6, 5.81),
    (15.9, 1e6, 21.2), (15.9, 1e6, 21.4), (15.99, 700.0, 16.0), (16.01, 700.0, 16.0), (19.99, 90.0, 30.0),
    (20.01, 90.0, 30.0), (25.0, 900.0, 67.9), (25.0, 900.0, 68.0), (25.0, 900.0, 9.19), (25.0, 900.0, 9.2),
    (399.0, 2e3, 390.0), (401.0, 2e3, 390.0), (401.0, 1e6, 250.0), (2.0, 5.0, 3.4999), (2.0, 5.0, 3.5001),
    (1e-3, 0.02, 0.01), (0.999, 0.999, 0.7), (1.001, 0.3, 0.2),
)  # fmt: skip
ORDERS = (0.0, 0.5, 1.0, 2.3, 10.0, 47.0, 100.0, 1e3, 1e4)
KAPPAS = (1e-6, 1e-3, 0.3, 0.999, 1.001, 4.0, 20.0, 60.0, 3e3, 2e4, 1e6, 1e8)
NORMAL = (
    -1e6,
    -1e3,
    -37.5,
    -10.01,
    -9.99,
    -5.0,
    -1.01,
    -0.99,
    -0.3,
    -1e-5,
    0.0,
    0.3,
    1.0,
    3.0,
    5.5,
    8.0,
    20.0,
    36.0,
)
Exponents = tuple[int, ...]
Jet = dict[Exponents, arb]  # coefficients of a polynomial of degree three in the differences of the arguments
Function = Callable[..., arb]


def exponents(size: int, degree: int = 3) -> list[Exponents]:
    return [e for e in product(range(degree + 1), repeat=size) if sum(e) <= degree]


def taylor(function: Function, at: list[arb], degree: int = 3) -> Jet:
    """The coefficients D^e f / e!, D^e f by forward differences."""
    steps = [(abs(a) if a != 0 else 1) * arb(2) ** -STEP_BITS for a in at]
    rows = exponents(len(at), degree)
    values = {e: function(*(a + k * h for a, k, h in zip(at, e, steps))) for e in rows}
    jet = {}
    for e in rows:
        total = arb(0)
        for m in product(*(range(k + 1) for k in e)):
            weight = math.prod(math.comb(k, i) for k, i in zip(e, m)) * (-1) ** (sum(e) - sum(m))
            total += weight * values[m]
        for k, h in zip(e, steps):
            total /= h**k * math.factorial(k)
        jet[e] = total
    return jet


def multiply(p: Jet, q: Jet) -> Jet:
    out: Jet = {}
    for e, c in p.items():
        for f, d in q.items():
            if sum(e) + sum(f) <= 3:
                key = tuple(i + j for i, j in zip(e, f))
                out[key] = out.get(key, arb(0)) + c * d
    return out


def solved(jet: Jet) -> Jet:
    """The polynomial u(theta, p) with F(theta, u) = p, from F's in (theta, x)."""
    size = len(next(iter(jet)))
    target, slope = (0,) * (size - 1) + (1,), jet[(0,) * (size - 1) + (1,)]
    u: Jet = {}
    for _ in range(3):
        powers: list[Jet] = [{(0,) * size: arb(1)}]
        for _ in range(3):
            powers.append(multiply(powers[-1], u))
        total: Jet = {target: arb(1)}
        for e, c in jet.items():
            if sum(e) == 0 or e == target:
                continue
            for f, d in multiply({(*e[:-1], 0): c}, powers[e[-1]]).items():
                total[f] = total.get(f, arb(0)) - d
        u = {e: c / slope for e, c in total.items()}
    return u


def row(at: list[float], jet: Jet) -> dict:
    """Value, first derivatives, and [j, k, D, scale] of the second ones."""
    size = len(at)

    def derivative(*which: int) -> arb:
        e = tuple(which.count(j) for j in range(size))
        return jet.get(e, arb(0)) * math.prod(math.factorial(k) for k in e)

    second = []
    for j, k in combinations_with_replacement(range(size), 2):
        D = derivative(j, k)
        scale = sum((abs(a) or 1.0) * abs(float_of(derivative(j, k, i))) for i, a in enumerate(at))
        if D.rad() > 1e-20 * arb(max(scale, abs(float_of(D)))):
            raise ArithmeticError(f"{at}: too few digits")
        second.append([j, k, float_of(D), max(scale, abs(float_of(D)))])
    first = [float_of(derivative(j)) for j in range(size)]
    return {"at": at, "value": float_of(derivative()), "first": first, "second": second}


def float_of(number: arb) -> float:
    return float(number.mid())


def root(function: Function, p: arb, x: arb) -> arb:
    """The x > 0 with function(x) = p, by Newton's steps on both logarithms."""
    for _ in range(60):
        F = function(x)
        slope = (function(x * (1 + arb(2) ** -STEP_BITS)) / F - 1) * arb(2) ** STEP_BITS  # d log F / d log x
        change = ((F / p).log() / slope).mid()
        if abs(change) > 2:
            change = arb(2) if change > 0 else arb(-2)
        x = (x * (-change).exp()).mid()
        if abs(change) < arb(2) ** (-BITS // 3):
            return x
    raise ArithmeticError("no convergence")


def gamma_lower(a: arb, x: arb) -> arb:
    """P(a, x) = x^a e^-x/Gamma(a + 1) sum_n x^n/((a + 1)..(a + n))."""
    term, total, least, n = arb(1), arb(1), arb(2) ** -(ctx.prec + 20), 0
    while not term < least * total:
        for _ in range(16):
            n += 1
            term = term * x / (a + n)
            total += term
    return (a * x.log() - x - (a + 1).lgamma()).exp() * total


def beta_series(a: arb, b: arb, x: arb) -> arb:
    """I_x(a, b) = x^a (1 - x)^b/(a B(a, b)) sum_n x^n (a + b)..(a + b + n - 1)/((a + 1)..(a + n))."""
    term, total, least, n = arb(1), arb(1), arb(2) ** -(ctx.prec + 20), 0
    while not (term < least * total and x * (a + b + n) < a + n):
        for _ in range(16):
            n += 1
            term = term * x * (a + b + n - 1) / (a + n)
            total += term
    log_norm = (a + 1).lgamma() + b.lgamma() - (a + b).lgamma()
    return (a * x.log() + b * (1 - x).log() - log_norm).exp() * total


def cost(a: arb, b: arb, x: arb) -> float:
    """About how many terms the series takes."""
    return max(0.0, float_of((x * (a + b) - a) / (1 - x))) + 100 / max(1e-9, -float_of(x.log()))


def beta_lower(a: arb, b: arb, x: arb) -> arb:
    return beta_series(a, b, x) if cost(a, b, x) <= cost(b, a, 1 - x) else 1 - beta_series(b, a, 1 - x)


LOWER = {"gamma": gamma_lower, "beta": beta_lower}
Rows = Iterator[tuple[str, dict]]


def direct_row(name: str, parameters: list[float], x: float) -> Rows:
    jet = taylor(LOWER[name], [arb(v) for v in (*parameters, x)])
    found = row([*parameters, x], jet)
    yield f"{name}inc", found | {"complement": float_of(1 - jet[(0,) * (len(parameters) + 1)])}


def inverse_jet(
    name: str, parameters: list[float], p: float, upper: bool, guess: float, degree: int = 3
) -> Jet:
    """The polynomial of x(theta, p), with p the upper tail where `upper`."""

    def function(*arguments: arb) -> arb:
        F = LOWER[name](*arguments)
        return 1 - F if upper else F

    exact = [arb(v) for v in parameters]
    if name == "beta" and guess > 0.5:  # Newton in the smaller of x and 1 - x
        y = root(lambda y: 1 - function(*exact, 1 - y), 1 - arb(p), arb(1 - guess))
        x = 1 - y
    elif p > 0.5:
        x = root(lambda x: 1 - function(*exact, x), 1 - arb(p), arb(guess))
    else:
        x = root(lambda x: function(*exact, x), arb(p), arb(guess))
    return solved(taylor(function, [*exact, x], degree)) | {(0,) * (len(exact) + 1): x}


def inverse_row(name: str, parameters: list[float], p: float, upper: bool, guess: float) -> Rows:
    jet = inverse_jet(name, parameters, p, upper, guess)
    yield f"{name}inc{'c' if upper else ''}inv", row([*parameters, p], jet)


def law_rows(name: str, parameters: list[float]) -> Rows:
    """The function at the quantiles of all scores, and its inverses at their probabilities."""
    theta = [torch.tensor(p, dtype=torch.float64) for p in parameters]
    for score in (*SCORES, *FAR_SCORES):
        y = float(special.quantile(name, torch.tensor(score, dtype=torch.float64), *theta))
        x = math.exp(y) if name == "gamma" else math.exp(min(y, 0.0)) / (1 + math.exp(-abs(y)))
        if not 1e-280 < x < (math.inf if name == "gamma" else 1 - 1e-13):
            continue
        ctx.prec = BITS + int(0.75 * score**2)
        if score in SCORES:
            yield from direct_row(name, parameters, x)
        p, q = (float(special.ndtr(torch.tensor(s, dtype=torch.float64))) for s in (score, -score))
        if 0 < p < 1 and score in SCORES:
            yield from inverse_row(name, parameters, p, False, x)
        if 0 < q < 1 and name == "gamma":
            yield from inverse_row(name, parameters, q, True, x)


def gamma_rows() -> Rows:
    for a in SHAPES:
        yield from law_rows("gamma", [a])
    for a, x in EDGES:
        ctx.prec = 2 * BITS
        yield from direct_row("gamma", [a], x)
        p = float_of(gamma_lower(arb(a), arb(x)))
        if p < 1:
            yield from inverse_row("gamma", [a], p, False, x)


def beta_rows() -> Rows:
    for pair in PAIRS:
        yield from law_rows("beta", list(pair))
    for a, b, shifted in BETA_EDGES:
        ctx.prec = 2 * BITS
        x = shifted / (a + b)
        yield from direct_row("beta", [a, b], x)
        yield from inverse_row("beta", [a, b], float_of(beta_lower(arb(a), arb(b), arb(x))), False, x)


def log_bessel(n: arb, k: arb) -> arb:
    return k.bessel_i(n, scaled=True).log()


def bessel_ratio(n: arb, k: arb) -> arb:
    return k.bessel_i(n, scaled=True) / k.bessel_i(n - 1, scaled=True)


def bessel_rows() -> Rows:
    ctx.prec = 2 * BITS
    for n in ORDERS:
        for k in KAPPAS:
            at = [arb(n), arb(k)]
            yield "log_ive", row([n, k], taylor(log_bessel, at))
            if n >= 0.5:
                yield "bessel_ratio", row([n, k], taylor(bessel_ratio, at))


def normal_lower(x: arb) -> arb:
    return (-x / arb(2).sqrt()).erfc() / 2


def log_normal_lower(x: arb) -> arb:
    return (-normal_lower(-x)).log1p() if x > 0 else normal_lower(x).log()


def normal_rows() -> Rows:
    for x in NORMAL:
        ctx.prec = BITS + int(1.5 * min(x * x, 2000))
        yield "log_ndtr", row([x], taylor(log_normal_lower, [arb(x)]))
        if abs(x) > 37:
            continue
        yield "ndtr", row([x], taylor(normal_lower, [arb(x)]))
        for name, function in (("ndtri", normal_lower), ("ndtri_exp", log_normal_lower)):
            p = float_of(function(arb(x)))
            if p != 0 and p < 1:
                z = normal_root(function, arb(p), arb(x))
                yield name, row([p], solved(taylor(function, [z])) | {(0,): z})


def normal_root(function: Function, p: arb, z: arb) -> arb:
    for _ in range(8):
        slope = (function(z + arb(2) ** -STEP_BITS) - function(z)) * arb(2) ** STEP_BITS
        z = (z - (function(z) - p) / slope).mid()
    return z


def mp_inverse(function: Callable, upper: bool = False) -> Callable:
    def inverse(*arguments: mp.mpf, start: float) -> mp.mpf:
        *theta, p = arguments
        return mp.findroot(lambda x: function(*theta, x) - (1 - p if upper else p), start)

    return inverse


def mp_gamma(a: mp.mpf, x: mp.mpf) -> mp.mpf:
    return mp.gammainc(a, 0, x, regularized=True)


def mp_beta(a: mp.mpf, b: mp.mpf, x: mp.mpf) -> mp.mpf:
    return mp.betainc(a, b, 0, x, regularized=True)


PEERS: dict[str, Callable] = {  # mpmath's own functions
    "gammainc": mp_gamma,
    "gammaincinv": mp_inverse(mp_gamma),
    "gammainccinv": mp_inverse(mp_gamma, upper=True),
    "betainc": mp_beta,
    "betaincinv": mp_inverse(mp_beta),
    "log_ive": lambda n, k: mp.log(mp.besseli(n, k)) - k,
    "bessel_ratio": lambda n, k: mp.besseli(n, k) / mp.besseli(n - 1, k),
    "ndtr": mp.ncdf,
    "log_ndtr": lambda x: mp.log(mp.ncdf(x)),
    "ndtri": mp_inverse(mp.ncdf),
    "ndtri_exp": mp_inverse(lambda x: mp.log(mp.ncdf(x))),
}


def compare(name: str, found: dict) -> None:
    """Compare a row with mpmath."""
    at = found["at"]
    start = {"start": found["value"]} if "inv" in name or "ndtri" in name else {}
    with mp.workdps(150):
        point = tuple(mp.mpf(a) for a in at)

        def function(*arguments: mp.mpf) -> mp.mpf:
            return PEERS[name](*arguments, **start)

        pairs = [(function(*point), found["value"], 0.0)]
        orders = [[int(i == j) for i in range(len(at))] for j in range(len(at))]
        pairs += [(mp.diff(function, point, tuple(e)), d, 0.0) for e, d in zip(orders, found["first"])]
        for j, k, D, scale in found["second"]:
            e = tuple(a + b for a, b in zip(orders[j], orders[k]))
            pairs.append((mp.diff(function, point, e), D, scale))
        for peer, ours, scale in pairs:
            if abs(peer - ours) > 1e-15 * max(abs(ours), scale):
                raise ArithmeticError(f"{name} at {at}: {ours}, but mpmath has {peer}")


FAMILIES = {"gamma": gamma_rows, "beta": beta_rows, "bessel": bessel_rows, "normal": normal_rows}


def main() -> None:
    for family in sys.argv[1:] or FAMILIES:
        rows: dict[str, list[dict]] = {}
        moderate = 0
        for name, found in FAMILIES[family]():
            rows.setdefault(name, []).append(found)
            if all(1e-3 < abs(a) < 30 for a in (*found["at"], found["value"])):
                if moderate % 5 == 0:
                    compare(name, found)
                moderate += 1
        blocks = [
            f'"{name}":[\n' + ",\n".join(json.dumps(r, separators=(",", ":")) for r in group) + "\n]"
            for name, group in rows.items()
        ]
        (OUT / f"special_{family}.json").write_text("{\n" + ",\n".join(blocks) + "\n}\n")
        print(family, {name: len(group) for name, group in rows.items()}, flush=True)


if __name__ == "__main__":
    main()
