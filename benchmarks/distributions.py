"""Time of draws, forward and backward, as a ratio to torch's class in the same run.

    python benchmarks/distributions.py [--elements 1000000] [--rounds 5] [--only Beta StudentT]

One thread, float32, forward and backward. Each parameter is one tensor of all elements, filled with one number or
uniform between two; in the rows "scalar" it is a 0-d tensor. Ours and torch's alternate; CPU time of the thread,
median and minimum of the rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import reparam as rp
from reparam import distributions as D

Range = float | tuple[float, float]
CASES: list[tuple[str, str, dict[str, Range]]] = [
    ("Normal", "", {"loc": 0.3, "scale": 1.2}),
    ("Laplace", "", {"loc": 0.3, "scale": 1.2}),
    ("Gumbel", "", {"loc": 0.3, "scale": 1.2}),
    ("Exponential", "", {"rate": 1.2}),
    ("Weibull", "", {"scale": 1.2, "concentration": 2.0}),
    ("Kumaraswamy", "", {"concentration1": 2.0, "concentration0": 3.0}),
    ("Gamma", "", {"concentration": 2.5, "rate": 1.2}),
    ("Beta", "a = 2.5, b = 1.5", {"concentration1": 2.5, "concentration0": 1.5}),
    ("Beta", "a = 2.5, b = 1.5, scalar", {"concentration1": 2.5, "concentration0": 1.5}),
    ("Beta", "a, b in .1-2", {"concentration1": (0.1, 2), "concentration0": (0.1, 2)}),
    ("Beta", "a, b in 1-50", {"concentration1": (1, 50), "concentration0": (1, 50)}),
    ("Beta", "a, b in 10-1000", {"concentration1": (10, 1000), "concentration0": (10, 1000)}),
    ("FisherSnedecor", "df in 1-50", {"df1": (1, 50), "df2": (1, 50)}),
    ("StudentT", "df = 5", {"df": 5.0, "loc": 0.3, "scale": 1.2}),
    ("StudentT", "df in 1-10", {"df": (1, 10), "loc": 0.3, "scale": 1.2}),
    ("StudentT", "df in 10-100", {"df": (10, 100), "loc": 0.3, "scale": 1.2}),
    ("StudentT", "df in .5-2", {"df": (0.5, 2), "loc": 0.3, "scale": 1.2}),
    ("VonMises", "", {"loc": 0.3, "concentration": 2.0}),
    ("TruncatedNormal", "", {"loc": 0.3, "scale": 1.2, "low": -1.0, "high": 2.0}),
]


def parameter(value: Range, count: int, scalar: bool) -> torch.Tensor:
    """Return a leaf of one number everywhere, or of numbers uniform in a range."""
    if isinstance(value, tuple):
        spread = rp.Noise(0).child(str(value)).uniform((count,))
        return (value[0] + (value[1] - value[0]) * spread).requires_grad_()
    return torch.full(() if scalar else (count,), value, requires_grad=True)


def timed(q: torch.distributions.Distribution, leaves: list[torch.Tensor], **options: object) -> float:
    """Return the seconds of one draw and, where it has one, its backward pass."""
    start = time.thread_time()
    if q.has_rsample:
        torch.autograd.grad(q.rsample(**options).sum(), leaves)  # type: ignore[call-arg]
    else:
        q.sample(**options)  # type: ignore[call-arg]
    return time.thread_time() - start


def build(family: Callable[..., torch.distributions.Distribution], leaves: dict[str, torch.Tensor]) -> Any:
    """Return the distribution without validation, so that only the draw is timed."""
    return family(**leaves, validate_args=False)


def main() -> None:
    """Print ns per element and the ratio to torch for every family."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| family | parameters | ours ns | torch ns | ratio | ratio of minima |\n|---|---|---|---|---|---|")
    for name, label, values in CASES:
        if options.only and name not in options.only:
            continue
        scalar = label.endswith("scalar")
        leaves = {key: parameter(value, options.elements, scalar) for key, value in values.items()}
        shape = {"sample_shape": torch.Size([options.elements])} if scalar else {}
        ours, theirs = [], []
        for k in range(options.rounds + 1):
            q = build(getattr(D, name), leaves)
            ours.append(timed(q, list(leaves.values()), noise=rp.Noise(k), **shape))
            if hasattr(torch.distributions, name):
                q = build(getattr(torch.distributions, name), leaves)
                theirs.append(timed(q, list(leaves.values()), **shape))
        scale = 1e9 / options.elements
        mine, least = statistics.median(ours[1:]) * scale, min(ours[1:]) * scale
        other, most = float("nan"), float("nan")
        if theirs:
            other, most = statistics.median(theirs[1:]) * scale, min(theirs[1:]) * scale
        row = f"{mine:.1f} | {other:.1f} | {mine / other:.2f} | {least / most:.2f}"
        print(f"| {name} | {label} | {row} |", flush=True)


if __name__ == "__main__":
    main()
