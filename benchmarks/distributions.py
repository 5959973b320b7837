"""Time of draws, forward and backward, as a ratio to torch's class in the same run.

    python benchmarks/distributions.py [--elements 1000000] [--rounds 5]

One thread, float32, every parameter one tensor of all elements. Ours and torch's alternate; medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import reparam as rp
from reparam import distributions as D

CASES: dict[str, dict[str, float]] = {
    "Normal": {"loc": 0.3, "scale": 1.2},
    "Laplace": {"loc": 0.3, "scale": 1.2},
    "Gumbel": {"loc": 0.3, "scale": 1.2},
    "Exponential": {"rate": 1.2},
    "Weibull": {"scale": 1.2, "concentration": 2.0},
    "Kumaraswamy": {"concentration1": 2.0, "concentration0": 3.0},
    "Gamma": {"concentration": 2.5, "rate": 1.2},
    "Beta": {"concentration1": 2.5, "concentration0": 1.5},
    "StudentT": {"df": 5.0, "loc": 0.3, "scale": 1.2},
    "VonMises": {"loc": 0.3, "concentration": 2.0},
    "TruncatedNormal": {"loc": 0.3, "scale": 1.2, "low": -1.0, "high": 2.0},
}


def timed(q: torch.distributions.Distribution, leaves: list[torch.Tensor], **options: object) -> float:
    """Return the seconds of one draw and, where it has one, its backward pass."""
    start = time.perf_counter()
    if q.has_rsample:
        torch.autograd.grad(q.rsample(**options).sum(), leaves)  # type: ignore[call-arg]
    else:
        q.sample(**options)  # type: ignore[call-arg]
    return time.perf_counter() - start


def build(family: Callable[..., torch.distributions.Distribution], leaves: dict[str, torch.Tensor]) -> object:
    """Return the distribution without validation, so that only the draw is timed."""
    return family(**leaves, validate_args=False)


def main() -> None:
    """Print ns per element and the ratio to torch for every family."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'family':18s} {'ours ns':>9s} {'torch ns':>9s} {'ratio':>7s}")
    for name, values in CASES.items():
        leaves = {
            key: torch.full((options.elements,), value, requires_grad=True) for key, value in values.items()
        }
        ours, theirs = [], []
        for k in range(options.rounds + 1):
            ours.append(timed(build(getattr(D, name), leaves), list(leaves.values()), noise=rp.Noise(k)))
            if hasattr(torch.distributions, name):
                theirs.append(timed(build(getattr(torch.distributions, name), leaves), list(leaves.values())))
        scale = 1e9 / options.elements
        mine = statistics.median(ours[1:]) * scale
        other = statistics.median(theirs[1:]) * scale if theirs else float("nan")
        print(f"{name:18s} {mine:9.1f} {other:9.1f} {mine / other:7.2f}", flush=True)


if __name__ == "__main__":
    main()
