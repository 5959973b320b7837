"""Search for the worst errors of betainc and betaincinv at random arguments, by make_special_references.py.

Values and first derivatives at COUNT points of each function, second ones (relative to their scale, see
tests/special/test_references.py) at COUNT/10 others. Concentrations are log-uniform from 1e-3 to 1e6, normal scores
uniform over what a float holds.

Run `PYTHONPATH=src:tests:tests/special:scripts python -P benchmarks/search_beta.py [COUNT] [SEED] [NAME ..]`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import make_special_references as references
import numpy as np
import test_references as tests
import torch
from flint import arb, ctx

from reparam import special

LEAST, BITS = 1e-280, 300


def number(name: str, *arguments: float) -> float:
    return float(getattr(special, name)(*(torch.tensor(a, dtype=torch.float64) for a in arguments)))


def points(name: str, rng: np.random.Generator) -> Iterator[tuple[list[float], float]]:
    """Random arguments and the score of their probability, where the result is a number of ordinary size."""
    while True:
        a, b = (float(v) for v in np.exp(rng.uniform(np.log(1e-3), np.log(1e6), 2)))
        score = rng.uniform(-37.0, 8.0) if rng.random() < 0.6 else rng.normal()
        last = number("ndtr", score)
        if name == "betainc":
            last = number("betaincinv", a, b, last)
        if LEAST < last < 1 and LEAST < number(name, a, b, last) < 1:
            yield [a, b, last], score


def first_row(name: str, at: list[float]) -> dict:
    """A row of the references without second derivatives."""
    *theta, last = (arb(v) for v in at)
    h = arb(2) ** -references.STEP_BITS
    x = last
    if name == "betaincinv":
        guess = number(name, *at)
        below = guess <= 0.5

        def side(t: arb) -> arb:
            return references.beta_lower(*theta, t) if below else 1 - references.beta_lower(*theta, 1 - t)

        root = references.root(side, last if below else 1 - last, arb(guess if below else 1 - guess))
        x = root if below else 1 - root
    point = [*theta, x]
    F = references.beta_lower(*point)
    slopes = []
    for j, t in enumerate(point):
        size = t * (1 - t) if j == 2 else t  # x and 1 - x may both be small
        moved = [*point[:j], t + size * h, *point[j + 1 :]]
        slopes.append((references.beta_lower(*moved) - F) / (size * h))
    if name == "betaincinv":
        slopes = [*(-s / slopes[2] for s in slopes[:2]), 1 / slopes[2]]
    first = [references.float_of(s) for s in slopes]
    return {"at": at, "value": references.float_of(x if name == "betaincinv" else F), "first": first}


def second_row(name: str, at: list[float]) -> dict:
    if name == "betainc":
        return next(references.direct_row("beta", at[:2], at[2]))[1]
    return next(references.inverse_row("beta", at[:2], at[2], False, number(name, *at)))[1]


def first_errors(name: str, rows: list[dict]) -> dict[str, torch.Tensor]:
    leaves = tests.arguments(rows)
    out = getattr(special, name)(*leaves)
    none = tests.column(0.0 for _ in rows)
    found = {"value": tests.errors(out, tests.column(r["value"] for r in rows), none)}
    for j, slope in enumerate(torch.autograd.grad(out.sum(), leaves)):
        found[f"first {j}"] = tests.errors(slope, tests.column(r["first"][j] for r in rows), none)
    return found


def search(name: str, count: int, order: int, rng: np.random.Generator) -> None:
    """Print the worst error of each kind, and where it is."""
    rows = []
    for (at, score), _ in zip(points(name, rng), range(count)):
        ctx.prec = (BITS if order == 1 else references.BITS) + int(1.5 * score**2)
        rows.append((first_row if order == 1 else second_row)(name, at))
    found = (first_errors if order == 1 else tests.all_errors)(name, rows)
    for kind, error in found.items():
        if order == 1 or kind.startswith("second"):
            at = ", ".join(f"{a:.17g}" for a in rows[int(error.argmax())]["at"])
            print(f"| {name} | {kind} | {error.max():.1e} | {at} |", flush=True)


def main() -> None:
    count, seed = (int(v) for v in (*sys.argv[1:3], *(3000, 0)[len(sys.argv) - 1 :]))
    print(f"{count} points, {count // 10} for second derivatives, seed {seed}\n")
    print("| function | derivative | worst error | at |\n| --- | --- | --- | --- |")
    for name in sys.argv[3:] or ("betainc", "betaincinv"):
        rng = np.random.default_rng([seed, *name.encode()])
        for size, order in ((count, 1), (count // 10, 2)):
            search(name, size, order, rng)


if __name__ == "__main__":
    main()
