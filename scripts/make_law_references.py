"""Make the many-digit references of every one-dimensional family: tests/references/laws.json.

For each case of the table of the tests, at exactly the stored floats (all of them float32 numbers, so that one file
serves both precisions): F, S, log q, the pathwise derivatives -F_phi/q, and the quantile at a given probability.
Run `PYTHONPATH=src:tests:scripts python scripts/make_law_references.py [FAMILY ...]`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
import torch
from make_references import beta_tail, gamma_tail, vonmises_density, vonmises_tail

from distributions.cases import CASES, REFERENCED, Case

OUT = Path(__file__).parent.parent / "tests/references/laws.json"
PROBABILITIES = [1e-6, 1e-3, 0.2, 0.5]  # of the lower tail, and of the upper one
EXTREME = {"InverseGaussian", "Weibull"}
WIDE = {  # shapes over the ranges that are promised
    "Gamma": {"concentration": [1e-4, 1e-2, 0.1, 11.9, 12.1, 1e3, 1e5, 1e7], "rate": [1.0] * 8},
    "ExpGamma": {"concentration": [1e-4, 1e-2, 0.1, 12.1, 1e5, 1e7], "rate": [1.0] * 6},
    "InverseGamma": {"concentration": [0.05, 1.0, 1e5], "rate": [1.0, 2.0, 1.0]},
    "Chi2": {"df": [0.05, 1e6]},
    "Beta": {
        "concentration1": [1e-3, 1e-3, 1e-2, 1e6, 1e6, 16.0, 0.05, 1e3],
        "concentration0": [1e-3, 1e3, 1e6, 1e6, 0.5, 17.0, 30.0, 1e5],
    },
    "FisherSnedecor": {"df1": [0.1, 1e5, 2.0], "df2": [50.0, 1e5, 0.5]},
    "StudentT": {"df": [1e-2, 0.1, 0.5, 19.9, 20.1, 1e6], "loc": [0.0] * 6, "scale": [1.0] * 6},
    "VonMises": {"loc": [0.0] * 6, "concentration": [1e-3, 0.05, 15.0, 29.9, 1e4, 1e6]},
}
Number = mp.mpf
Law = Callable[..., tuple[Number, Number, Number]]


def phi(x: Number) -> Number:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def standard(cdf: Callable, log_density: Callable, loc: Number, scale: Number, x: Number) -> tuple:
    """(F, S, log q) of a law that is moved and stretched; F(-y) of an even law is S(y)."""
    y = (x - loc) / scale
    return cdf(y), cdf(-y), log_density(y) - mp.log(scale)


def normal(x: Number, loc: Number, scale: Number) -> tuple:
    return standard(phi, lambda y: -y * y / 2 - mp.log(2 * mp.pi) / 2, loc, scale, x)


def laplace(x: Number, loc: Number, scale: Number) -> tuple:
    def cdf(y: Number) -> Number:
        return mp.exp(y) / 2 if y < 0 else 1 - mp.exp(-y) / 2

    return standard(cdf, lambda y: -abs(y) - mp.log(2), loc, scale, x)


def logistic(x: Number, loc: Number, scale: Number) -> tuple:
    def log_density(y: Number) -> Number:
        return -abs(y) - 2 * mp.log1p(mp.exp(-abs(y)))

    return standard(lambda y: 1 / (1 + mp.exp(-y)), log_density, loc, scale, x)


def cauchy(x: Number, loc: Number, scale: Number) -> tuple:
    return standard(lambda y: mp.atan2(1, -y) / mp.pi, lambda y: -mp.log(mp.pi * (1 + y * y)), loc, scale, x)


def gumbel(x: Number, loc: Number, scale: Number) -> tuple:
    y = (x - loc) / scale
    return mp.exp(-mp.exp(-y)), -mp.expm1(-mp.exp(-y)), -y - mp.exp(-y) - mp.log(scale)


def log_normal(x: Number, loc: Number, scale: Number) -> tuple:
    F, S, value = normal(mp.log(x), loc, scale)
    return F, S, value - mp.log(x)


def by_hazard(H: Number, slope: Number) -> tuple:
    """(F, S, log q) for S = e^-H."""
    return -mp.expm1(-H), mp.exp(-H), mp.log(slope) - H


def exponential(x: Number, rate: Number) -> tuple:
    return by_hazard(rate * x, rate)


def weibull(x: Number, scale: Number, concentration: Number) -> tuple:
    H = (x / scale) ** concentration
    return by_hazard(H, concentration * H / x)


def pareto(x: Number, scale: Number, alpha: Number) -> tuple:
    return by_hazard(alpha * mp.log(x / scale), alpha / x)


def generalized_pareto(x: Number, loc: Number, scale: Number, concentration: Number) -> tuple:
    y = (x - loc) / scale
    H = mp.log1p(concentration * y) / concentration if concentration else y
    return by_hazard(H, 1 / (scale * (1 + concentration * y)))


def kumaraswamy(x: Number, a: Number, b: Number) -> tuple:
    return by_hazard(-b * mp.log1p(-(x**a)), a * b * x ** (a - 1) / (1 - x**a))


def folded(law: Law) -> Law:
    def image(x: Number, *params: Number) -> tuple:
        (F, S, up), (f, _, down) = law(x, *params), law(-x, *params)
        return F - f, S + f, mp.log(mp.exp(up) + mp.exp(down))

    return image


def half(law: Law) -> Law:
    return lambda x, scale: folded(law)(x, mp.mpf(0), scale)


def square(x: Number, loc: Number, scale: Number) -> tuple:
    F, S, value = folded(normal)(mp.sqrt(x), loc, scale)
    return F, S, value - mp.log(4 * x) / 2


def exp_of_falling(x: Number, loc: Number, scale: Number) -> tuple:
    F, S, value = normal((1 - mp.log(x)) * 2, loc, scale)
    return S, F, value + mp.log(2 / x)


def uniform(x: Number, low: Number, high: Number) -> tuple:
    return (x - low) / (high - low), (high - x) / (high - low), -mp.log(high - low)


def continuous_bernoulli(x: Number, l: Number) -> tuple:
    if not l:
        return x, 1 - x, mp.mpf(0)
    total = mp.expm1(l)
    return mp.expm1(l * x) / total, (mp.exp(l) - mp.exp(l * x)) / total, l * x + mp.log(l / total)


def by_probs(x: Number, probs: Number) -> tuple:
    return continuous_bernoulli(x, mp.log(probs / (1 - probs)))


def positive(law: Law) -> Law:
    """A law on x > 0 as one on the line."""
    return lambda x, *params: law(x, *params) if x > 0 else (mp.mpf(0), mp.mpf(1), -mp.inf)


def truncated(law: Law) -> Law:
    def inner(x: Number, *params: Number) -> tuple:
        *own, low, high = params

        def F(t: Number) -> Number:
            if mp.isinf(t):
                return mp.mpf(0) if t < 0 else mp.mpf(1)
            return law(t, *own)[0]

        mass = F(high) - F(low)
        return (F(x) - F(low)) / mass, (F(high) - F(x)) / mass, law(x, *own)[2] - mp.log(mass)

    return inner


def signed(tail: Number) -> tuple:
    return (tail, 1 - tail) if tail > 0 else (1 + tail, -tail)


def exp_gamma(x: Number, a: Number, rate: Number) -> tuple:
    y = x + mp.log(rate)
    return (*signed(gamma_tail(y, a)), a * y - mp.exp(y) - mp.loggamma(a))


def gamma(x: Number, a: Number, rate: Number) -> tuple:
    F, S, value = exp_gamma(mp.log(x), a, rate)
    return F, S, value - mp.log(x)


def inverse_gamma(x: Number, a: Number, rate: Number) -> tuple:
    S, F, value = exp_gamma(-mp.log(x), a, rate)
    return F, S, value - mp.log(x)


def log_beta(a: Number, b: Number) -> Number:
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def beta(x: Number, a: Number, b: Number) -> tuple:
    F, S = signed(beta_tail(mp.log(x / (1 - x)), a, b))
    return F, S, (a - 1) * mp.log(x) + (b - 1) * mp.log(1 - x) - log_beta(a, b)


def fisher(x: Number, df1: Number, df2: Number) -> tuple:
    F, S, value = beta(df1 * x / (df1 * x + df2), df1 / 2, df2 / 2)
    return F, S, value + mp.log(df1 * df2) - 2 * mp.log(df1 * x + df2)


def student(x: Number, df: Number, loc: Number, scale: Number) -> tuple:
    t = (x - loc) / scale
    half_tail = signed(beta_tail(mp.log(df / t**2), df / 2, mp.mpf(1) / 2))[0] / 2 if t else mp.mpf(1) / 2
    value = (
        -log_beta(df / 2, mp.mpf(1) / 2)
        - mp.log(df) / 2
        - (df + 1) / 2 * mp.log1p(t * t / df)
        - mp.log(scale)
    )
    return (half_tail, 1 - half_tail, value) if t < 0 else (1 - half_tail, half_tail, value)


def von_mises(x: Number, loc: Number, kappa: Number) -> tuple:
    y = x - loc
    return (*signed(vonmises_tail(y, kappa)), mp.log(vonmises_density(y, kappa)))


def inverse_gaussian(x: Number, mu: Number, lam: Number) -> tuple:
    with mp.workdps(mp.mp.dps + int(2 * lam / mu) if lam < 200 * mu else mp.mp.dps):
        r = mp.sqrt(lam / x)
        e = mp.exp(2 * lam / mu) * phi(-r * (x + mu) / mu)
        F, S = phi(r * (x - mu) / mu) + e, phi(-r * (x - mu) / mu) - e
    return F, S, mp.log(lam / (2 * mp.pi * x**3)) / 2 - lam * (x - mu) ** 2 / (2 * mu**2 * x)


def two(first: Law, second: Law) -> Law:
    """Mixture of two laws of two parameters each, by logits."""

    def inner(x: Number, l0: Number, l1: Number, *params: Number) -> tuple:
        w = 1 / (1 + mp.exp(l1 - l0))
        one, other = first(x, *params[:2]), second(x, *params[2:])
        F, S = (w * p + (1 - w) * q for p, q in zip(one[:2], other[:2]))
        return F, S, mp.log(w * mp.exp(one[2]) + (1 - w) * mp.exp(other[2]))

    return inner


def of_one_family(law: Law) -> Law:
    """`two` of one family, its parameters listed name by name."""
    return lambda x, l0, l1, p0, p1, q0, q1: two(law, law)(x, l0, l1, p0, q0, p1, q1)


LAWS: dict[str, Law] = {
    "Normal": normal,
    "Laplace": laplace,
    "Logistic": logistic,
    "Gumbel": gumbel,
    "Cauchy": cauchy,
    "LogNormal": log_normal,
    "Exponential": exponential,
    "Weibull": weibull,
    "HalfNormal": half(normal),
    "HalfCauchy": half(cauchy),
    "Pareto": pareto,
    "GeneralizedPareto": generalized_pareto,
    "Uniform": uniform,
    "Kumaraswamy": kumaraswamy,
    "ContinuousBernoulli": continuous_bernoulli,
    "ContinuousBernoulli(probs)": by_probs,
    "TruncatedNormal": truncated(normal),
    "Truncated(Gumbel)": truncated(gumbel),
    "Truncated(Exponential)": truncated(positive(exponential)),
    "Gamma": gamma,
    "ExpGamma": exp_gamma,
    "InverseGamma": inverse_gamma,
    "Chi2": lambda x, df: gamma(x, df / 2, mp.mpf(1) / 2),
    "Beta": beta,
    "FisherSnedecor": fisher,
    "StudentT": student,
    "VonMises": von_mises,
    "InverseGaussian": inverse_gaussian,
    "Folded(Normal)": folded(normal),
    "Folded(StudentT)": folded(student),
    "Pushforward(square)": square,
    "Pushforward(exp of falling)": exp_of_falling,
    "Mixture(Normal, Gamma)": two(normal, positive(gamma)),
    "MixtureSameFamily(Normal)": of_one_family(normal),
    "MixtureSameFamily(Gamma)": of_one_family(positive(gamma)),
}


def pathwise(law: Law, x: Number, params: list[Number], log_density: Number) -> list[float | None]:
    """-F_phi/q by a central difference of order two; None for an infinite parameter."""
    out: list[float | None] = []
    for j, value in enumerate(params):
        if mp.isinf(value):
            out.append(None)
            continue
        h = mp.mpf(10) ** -17 * (abs(value) or 1)
        ends = [[*params[:j], value + k * h, *params[j + 1 :]] for k in (1, -1)]
        (F, *_), (f, *_) = (law(x, *end) for end in ends)
        out.append(float(-(F - f) / (2 * h) / mp.exp(log_density)))
    return out


def quantile(law: Law, x: Number, params: list[Number], p: float, upper: bool) -> float:
    """The root of F = p (or S = p), by Newton's method from a float32 near it."""
    for _ in range(4):
        F, S, value = law(x, *params)
        step = (S - mp.mpf(p) if upper else mp.mpf(p) - F) / mp.exp(value)
        x += step
    return float(x)


def rows(case: Case, batch: dict[str, torch.Tensor]) -> list[dict]:
    law, out = LAWS[case.name], []
    q = case.make({name: value.double() for name, value in batch.items()})
    (size,) = q.batch_shape
    ends = [
        torch.as_tensor(getattr(q.support, name, limit)).expand(size).tolist()
        for name, limit in (("lower_bound", -torch.inf), ("upper_bound", torch.inf))
    ]
    for upper in (False, True):
        for p in PROBABILITIES[: 3 if upper else 4]:
            u = torch.full((size,), p, dtype=torch.float64)
            near = (q.isf(u) if upper else q.icdf(u)).tolist()
            for i, x in enumerate(near):
                x, params = float(np.float32(x)), [float(value[i]) for value in batch.values()]
                if not np.isfinite(x) or abs(x) < 1e-30 or not (ends[0][i] < x < ends[1][i]):
                    continue
                exact = [mp.mpf(v) for v in params]
                F, S, value = law(mp.mpf(x), *exact)
                if min(F, S) <= 0:
                    continue
                row = {
                    "params": params,
                    "x": x,
                    "p": p,
                    "upper": upper,
                    "cdf": float(F),
                    "survival": float(S),
                }
                row |= {"log_prob": float(value), "pathwise": pathwise(law, mp.mpf(x), exact, value)}
                out.append(row | {"quantile": quantile(law, mp.mpf(x), exact, p, upper)})
    return out


def main() -> None:
    out = json.loads(OUT.read_text()) if sys.argv[1:] else {}
    for case in CASES + REFERENCED:
        if case.name not in LAWS or (sys.argv[1:] and case.name not in sys.argv[1:]):
            continue
        mp.mp.dps = 90 if "Truncated" in case.name else 50  # F(high) - F(low) of bounds far out loses many
        batches = [case.batch(torch.float32)]
        batches += [case.batch(torch.float32, extreme=True)] if case.name in EXTREME else []
        if case.name in WIDE:
            batches.append({name: torch.tensor(values) for name, values in WIDE[case.name].items()})
        out[case.name] = [row for batch in batches for row in rows(case, batch)]
        print(case.name, len(out[case.name]), flush=True)
    OUT.write_text(json.dumps(out, indent=0))


if __name__ == "__main__":
    main()
