"""Time of draws, forward and backward, as a ratio to torch's class in the same run.

    python benchmarks/distributions.py [--elements 1000000] [--rounds 5] [--only Beta StudentT] [--threads]

Float32 unless a row says float64, forward and backward. Each parameter is one tensor of all elements, filled with one
number or uniform between two; in the rows "scalar" it is a 0-d tensor. Ours and torch's alternate on one thread; CPU
time of the thread, median and minimum of the rounds. With --threads, ours also alternates on one thread and on two: the
last column is the ratio of the least wall times, which means something on an idle machine only.
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
    ("Normal", "128 x 20", {"loc": 0.3, "scale": 1.2}),
    ("Laplace", "", {"loc": 0.3, "scale": 1.2}),
    ("Gumbel", "", {"loc": 0.3, "scale": 1.2}),
    ("Exponential", "", {"rate": 1.2}),
    ("Weibull", "", {"scale": 1.2, "concentration": 2.0}),
    ("Kumaraswamy", "", {"concentration1": 2.0, "concentration0": 3.0}),
    ("Gamma", "2.5", {"concentration": 2.5, "rate": 1.2}),
    ("Gamma", ".01-1", {"concentration": (0.01, 1), "rate": 1.2}),
    ("Gamma", "10-1000", {"concentration": (10, 1000), "rate": 1.2}),
    ("Beta", "a = 2.5, b = 1.5", {"concentration1": 2.5, "concentration0": 1.5}),
    ("Beta", "a = 2.5, b = 1.5, scalar", {"concentration1": 2.5, "concentration0": 1.5}),
    ("Beta", "a, b in .1-2", {"concentration1": (0.1, 2), "concentration0": (0.1, 2)}),
    ("Beta", "a, b in 1-50", {"concentration1": (1, 50), "concentration0": (1, 50)}),
    ("Beta", "a, b in 10-1000", {"concentration1": (10, 1000), "concentration0": (10, 1000)}),
    ("Beta", "a = b = 1e6, float64", {"concentration1": 1e6, "concentration0": 1e6}),
    ("FisherSnedecor", "df in 1-50", {"df1": (1, 50), "df2": (1, 50)}),
    ("InverseGaussian", "loc = 1, concentration in .5-20", {"loc": 1.0, "concentration": (0.5, 20)}),
    ("StudentT", "df = 5", {"df": 5.0, "loc": 0.3, "scale": 1.2}),
    ("StudentT", "df in 1-10", {"df": (1, 10), "loc": 0.3, "scale": 1.2}),
    ("StudentT", "df in 10-100", {"df": (10, 100), "loc": 0.3, "scale": 1.2}),
    ("StudentT", "df in .5-2", {"df": (0.5, 2), "loc": 0.3, "scale": 1.2}),
    ("VonMises", "", {"loc": 0.3, "concentration": 2.0}),
    ("TruncatedNormal", "", {"loc": 0.3, "scale": 1.2, "low": -1.0, "high": 2.0}),
    ("RelaxedOneHotCategorical", "K = 10", {"logits": (-1, 1)}),
    ("Dirichlet", "K = 10, .1-2", {"concentration": (0.1, 2)}),
    ("Dirichlet", "K = 10, 1-50", {"concentration": (1, 50)}),
    ("MixtureSameFamily", "8 normals", {"logits": (-1, 1), "loc": (-4, 4), "scale": (0.5, 2)}),
    ("MixtureSameFamily", "8 normals, one per draw", {"logits": (-1, 1), "loc": (-4, 4), "scale": (0.5, 2)}),
]


def parameter(value: Range, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a leaf of one number everywhere, or of numbers uniform in a range."""
    if isinstance(value, tuple):
        spread = rp.Noise(0).child(str(value)).uniform(shape, dtype=dtype)
        return (value[0] + (value[1] - value[0]) * spread).requires_grad_()
    return torch.full(shape, value, dtype=dtype, requires_grad=True)


def shapes(name: str, label: str, count: int) -> tuple[tuple[int, ...], torch.Size]:
    """Return the shape of the parameters and the sample shape that make `count` numbers."""
    if name == "MixtureSameFamily":
        one_each = label.endswith("per draw")
        return ((count, 8), torch.Size()) if one_each else ((8,), torch.Size([count]))
    if label == "128 x 20":
        return (128, 20), torch.Size()
    if "K = 10" in label:
        return (count // 10, 10), torch.Size()
    return ((), torch.Size([count])) if label.endswith("scalar") else ((count,), torch.Size())


def run(q: Any, leaves: list[torch.Tensor], shape: torch.Size, **options: Any) -> None:
    """Draw once and, where there are derivatives, pull ones back to the parameters."""
    if q.has_rsample:
        torch.autograd.grad(q.rsample(shape, **options).sum(), leaves)
    else:
        q.sample(shape, **options)


def build(module: Any, name: str, leaves: dict[str, torch.Tensor]) -> Any:
    """Return the distribution without validation, so that only the draw is timed."""
    family = getattr(module, name)
    if name == "RelaxedOneHotCategorical":
        return family(torch.tensor(0.5), **leaves, validate_args=False)
    if name == "MixtureSameFamily":
        weights = D.Categorical(logits=leaves["logits"], validate_args=False)
        return family(
            weights, D.Normal(leaves["loc"], leaves["scale"], validate_args=False), validate_args=False
        )
    return family(**leaves, validate_args=False)


def row(name: str, label: str, values: dict[str, Range], options: argparse.Namespace) -> str:
    """Return a line of the table."""
    small = label == "128 x 20"
    count, repeats = (2560, 200) if small else (options.elements, 1)
    shape, sample_shape = shapes(name, label, count)
    dtype = torch.float64 if label.endswith("float64") else torch.float32
    leaves = {key: parameter(value, shape, dtype) for key, value in values.items()}
    peer = hasattr(torch.distributions, name) and name != "MixtureSameFamily"  # torch's has no rsample

    def once(module: Any, clock: Callable[[], float], **extra: Any) -> float:
        start = clock()
        for _ in range(repeats):  # building is a part of the work: torch normalises logits there
            run(build(module, name, leaves), list(leaves.values()), sample_shape, **extra)
        return (clock() - start) / repeats

    ours, theirs, walls = [], [], ([], [])  # type: ignore[var-annotated]
    for k in range(options.rounds + 1):
        ours.append(once(D, time.thread_time, noise=rp.Noise(k)))
        if peer:
            theirs.append(once(torch.distributions, time.thread_time))
        for threads in (1, 2) if options.threads else ():
            torch.set_num_threads(threads)  # which ends torch's threads: the first call starts others
            calls = [once(D, time.perf_counter, noise=rp.Noise(k)) for _ in range(3)]
            walls[threads - 1].append(min(calls[1:]))
        torch.set_num_threads(1)
    scale = 1e9 / count
    cells = [f"{min(ours[1:]) * scale:.1f} / {statistics.median(ours[1:]) * scale:.1f}"]
    if peer:
        cells.append(f"{min(theirs[1:]) * scale:.1f} / {statistics.median(theirs[1:]) * scale:.1f}")
        least, middle = (f(ours[1:]) / f(theirs[1:]) for f in (min, statistics.median))
        cells.append(f"{least:.2f} / {middle:.2f}")
    else:
        cells += ["none", ""]
    if options.threads:
        cells.append(f"{min(walls[0][1:]) / min(walls[1][1:]):.2f}")
    return f"| {name} | {label} | {' | '.join(cells)} |"


def main() -> None:
    """Print ns per element and the ratio to torch for every family."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--threads", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    more = " two threads |" if options.threads else ""
    print(f"| family | parameters | ours, ns: least / median | torch, ns | ratio |{more}")
    print("|---|---|---|---|---|" + ("---|" if options.threads else ""))
    for name, label, values in CASES:
        if not options.only or name in options.only:
            print(row(name, label, values, options), flush=True)


if __name__ == "__main__":
    main()
