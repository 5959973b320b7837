"""Search for the worst errors of `special` at random arguments, against scripts/make_special_references.py.

Values and first derivatives at COUNT >= 200 points of each function, second ones (relative to their scale, see
tests/special/test_references.py) at COUNT/10 others. Shapes are log-uniform from 1e-4 to 1e7, normal scores uniform
over what a float holds, Bessel orders log-uniform from 1/2 to 1e4 and kappa from 1e-6 to 1e8.

Run `PYTHONPATH=src:tests:tests/special:scripts python -P benchmarks/search_special.py [COUNT] [SEED] [NAME ..]`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import make_special_references as references
import numpy as np
import test_references as tests
import torch
from flint import arb, ctx

from reparam import special

FUNCTIONS = {
    "gammainc": references.gamma_lower,
    "gammaincc": lambda a, x: 1 - references.gamma_lower(a, x),
    "bessel_ratio": references.bessel_ratio,
    "log_ive": references.log_bessel,
    "log_ndtr": references.log_normal_lower,
    "ndtr": references.normal_lower,
}
INVERSES = {"gammaincinv": False, "gammainccinv": True}
LEAST = 1e-280


def number(function: str, *arguments: float) -> float:
    return float(getattr(special, function)(*(torch.tensor(a, dtype=torch.float64) for a in arguments)))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def points(name: str, rng: np.random.Generator) -> Iterator[list[float]]:
    """Random arguments at which the value is a number of ordinary size."""
    while True:
        if name in ("bessel_ratio", "log_ive"):
            order = log_uniform(rng, 0.5, 1e4) if rng.random() < 0.8 else rng.uniform(0.5, 60.0)
            yield [order, log_uniform(rng, 1e-6, 1e8)]
            continue
        if name in ("log_ndtr", "ndtr"):
            yield [rng.uniform(-37.0, 37.0) if rng.random() < 0.8 else -log_uniform(rng, 1e-9, 37.0)]
            continue
        a = log_uniform(rng, 1e-4, 1e7)
        score = rng.uniform(-37.0, 8.2) if rng.random() < 0.7 else rng.normal()
        if name in ("gammaincc", "gammainccinv"):
            score = -score
        last = number("ndtr", -score if name == "gammainccinv" else score)
        if name in ("gammainc", "gammaincc"):
            last = math.exp(
                float(special.quantile("gamma", torch.tensor(score).double(), torch.tensor(a).double()))
            )
        value = number(name, a, last)
        if 0 < last < 1e300 and value > LEAST and (last < 1 or name not in INVERSES):
            yield [a, last]


def reference(name: str, at: list[float], degree: int) -> references.Jet:
    """The jet in digits enough for the smaller of a tail and its complement."""
    if "ndtr" in name:
        extra = 2 * at[0] ** 2
    elif "gamma" in name:
        extra = -math.log2(at[-1] if name in INVERSES else number(name, *at))
    else:
        extra = 600
    ctx.prec = (450 if degree == 3 else 260) + int(extra)
    if name in INVERSES:
        return references.inverse_jet("gamma", at[:-1], at[-1], INVERSES[name], number(name, *at), degree)
    return references.taylor(FUNCTIONS[name], [arb(a) for a in at], degree)


def search(
    name: str, count: int, degree: int, rng: np.random.Generator
) -> dict[str, tuple[float, list[float]]]:
    """The worst error of each kind, and where it is."""
    rows = []
    for at, _ in zip(points(name, rng), range(count)):
        jet = reference(name, at, degree)
        if degree == 3:
            rows.append(references.row(at, jet))
        else:
            jet |= dict.fromkeys((e for e in references.exponents(len(at)) if sum(e) > 1), arb(0))
            rows.append(references.row(at, jet))
    found = tests.all_errors(name, rows)
    kinds = ("value", "first", "second") if degree == 3 else ("value", "first")
    if degree == 1 and name in ("bessel_ratio", "log_ive"):
        kinds = ("value",)  # first derivatives that cross zero have a scale from the second ones
    return {
        kind: (error.max().item(), rows[int(error.argmax())]["at"])
        for kind, error in found.items()
        if kind.split()[0] in kinds
    }


def main() -> None:
    count, seed = (int(v) for v in (*sys.argv[1:3], *(3000, 0)[len(sys.argv) - 1 :]))
    names = sys.argv[3:] or [*FUNCTIONS, *INVERSES]
    print(f"{count} points, {count // 10} for second derivatives, seed {seed}\n")
    print("| function | derivative | worst error | at |\n| --- | --- | --- | --- |")
    for name in names:
        rng = np.random.default_rng([seed, *name.encode()])
        for size, degree in ((count, 1), (count // 10, 3)):
            for kind, (error, at) in search(name, size, degree, rng).items():
                if degree == 1 or kind.startswith("second") or name in ("bessel_ratio", "log_ive"):
                    print(
                        f"| {name} | {kind} | {error:.1e} | {', '.join(f'{a:.17g}' for a in at)} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
