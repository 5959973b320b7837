"""CPU time of Gamma and Dirichlet draws, forward and backward, and its ratio to torch's class in the same run.

    python benchmarks/gamma.py [--elements 200000] [--rounds 7]

One thread, float32. The time is that of the thread (time.thread_time), the least of the rounds: it means something on a
loaded machine too, though caches shared with other work still slow both sides.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import reparam as rp
from reparam import distributions as D


def least(function: Callable[[], object], rounds: int) -> float:
    """Return the least CPU seconds of a call."""
    function()
    seconds = []
    for _ in range(rounds):
        start = time.thread_time()
        function()
        seconds.append(time.thread_time() - start)
    return min(seconds)


def gradient(q: Any, leaves: list[torch.Tensor], weights: torch.Tensor, extra: dict[str, Any]) -> object:
    """Draw once and pull the weights back to the leaves."""
    return torch.autograd.grad((q.rsample(**extra) * weights).sum(), leaves)


def regimes(count: int, generator: torch.Generator) -> dict[str, tuple[str, torch.Tensor]]:
    """Return family and concentrations of each case."""
    u = torch.rand(count, generator=generator)
    rows = torch.rand(count // 10, 10, generator=generator)
    return {
        "Gamma, 2.5": ("Gamma", torch.full((count,), 2.5)),
        "Gamma, .01 to 1": ("Gamma", 10 ** (2 * u - 2)),
        "Gamma, .1 to 10": ("Gamma", 10 ** (2 * u - 1)),
        "Gamma, 10 to 1000": ("Gamma", 10 ** (2 * u + 1)),
        "Dirichlet K=10, .1 to 2": ("Dirichlet", 0.1 * 20**rows),
        "Dirichlet K=10, 1 to 50": ("Dirichlet", 50**rows),
    }


def main() -> None:
    """Print ns per element and the ratio of every case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elements", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    for name, (family, alpha) in regimes(options.elements, generator).items():
        leaves = [alpha.requires_grad_()]
        if family == "Gamma":
            leaves.append(torch.ones_like(alpha, requires_grad=True))
        weights = torch.randn(alpha.shape, generator=generator)
        seconds = []
        for module, extra in ((D, {"noise": rp.Noise(0)}), (torch.distributions, {})):
            q = getattr(module, family)(*leaves, validate_args=False)
            seconds.append(
                least(partial(gradient, q, leaves, weights, extra), options.rounds) * 1e9 / alpha.numel()
            )
        print(f"{name:26s} {seconds[0]:7.1f} {seconds[1]:7.1f} {seconds[0] / seconds[1]:6.2f}", flush=True)


if __name__ == "__main__":
    main()
