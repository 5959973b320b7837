"""CPU time of the fused draws, forward and backward, in ns per element, as a ratio to torch's class in the same run.

    python benchmarks/fused_draws.py [--elements 1000000] [--rounds 9]

One thread, float32, ours and torch's in turn; minimum and median of the rounds. The time is the thread's, so that other
work on the machine disturbs it less. The ratio is that of the minima; for von Mises torch has no derivative, and its
forward pass is the measure.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import reparam as rp
from reparam import distributions as D

LINES = {
    "Normal": {"loc": 0.3, "scale": 1.2},
    "Laplace": {"loc": 0.3, "scale": 1.2},
    "Gumbel": {"loc": 0.3, "scale": 1.2},
    "VonMises": {"loc": 0.3, "concentration": 2.0},
    "TruncatedNormal": {"loc": 0.3, "scale": 1.2, "low": -1.0, "high": 2.0},
}


def line(name: str, shape: tuple[int, ...]) -> tuple[list[torch.Tensor], list[Callable[[], Any]]]:
    """Return the parameters, one tensor each, and how ours and torch's distribution are built from them."""
    leaves = {key: torch.full(shape, value, requires_grad=True) for key, value in LINES[name].items()}
    families = [getattr(module, name) for module in (D, torch.distributions) if hasattr(module, name)]
    return list(leaves.values()), [lambda f=f: f(**leaves, validate_args=False) for f in families]


def one_hot(count: int) -> tuple[list[torch.Tensor], list[Callable[[], Any]]]:
    """Gumbel-softmax over K = 10."""
    logits = rp.Noise(0).normal((count // 10, 10)).requires_grad_()
    families = [module.RelaxedOneHotCategorical for module in (D, torch.distributions)]
    return [logits], [lambda f=f: f(torch.tensor(0.5), logits=logits, validate_args=False) for f in families]


def mixture(shape: tuple[int, ...]) -> tuple[list[torch.Tensor], list[Callable[[], Any]]]:
    """Eight normals: one mixture for all draws, or one for each."""
    logits, loc, width = (rp.Noise(0).child(name).normal((*shape, 8)) for name in ("logits", "loc", "width"))
    leaves = [logits.requires_grad_(), (2 * loc).requires_grad_(), (0.3 * width).exp().requires_grad_()]

    def build() -> Any:
        components = D.Normal(leaves[1], leaves[2], validate_args=False)
        weights = D.Categorical(logits=leaves[0], validate_args=False)
        return D.MixtureSameFamily(weights, components, validate_args=False)

    return leaves, [build]


def cpu_time(
    q: Any, shape: tuple[int, ...], leaves: list[torch.Tensor], repeats: int, **options: Any
) -> float:
    """Return the seconds of a draw and, where it has one, its backward pass."""
    start = time.thread_time()
    for _ in range(repeats):
        if q.has_rsample:
            torch.autograd.grad(q.rsample(shape, **options).sum(), leaves, retain_graph=True)
        else:
            q.sample(shape, **options)
    return (time.thread_time() - start) / repeats


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    n = options.elements
    cases = [(name, *line(name, (n,)), (), n, 1) for name in LINES]
    cases += [("Gumbel-softmax, K = 10", *one_hot(n), (), n, 1)]
    cases += [("mixture of 8 normals", *mixture(()), (n,), n, 1)]
    cases += [("mixture of 8 normals, one per draw", *mixture((n,)), (), n, 1)]
    cases += [("Normal, 128 x 20", *line("Normal", (128, 20)), (), 2560, 200)]
    print("| family | ours, ns: least / median | torch, ns: least / median | ratio |\n|---|---|---|---|")
    for name, leaves, builders, shape, count, repeats in cases:
        times: list[list[float]] = [[] for _ in builders]
        for k in range(options.rounds + 1):
            for which, build in enumerate(builders):
                noise = {} if which else {"noise": rp.Noise(k)}
                times[which].append(cpu_time(build(), shape, leaves, repeats, **noise) * 1e9 / count)
        texts = [f"{min(t[1:]):.1f} / {statistics.median(t[1:]):.1f}" for t in times]
        ratio = f"{min(times[0][1:]) / min(times[1][1:]):.2f}" if len(times) > 1 else ""
        print(f"| {name} | {texts[0]} | {texts[1] if len(texts) > 1 else 'none'} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
