"""Forward and backward of the implicit families against torch.distributions: float32, 10^6 numbers, one thread.

Both sides draw their own noise. Ratios of medians, measured in turns in one run: PYTHONPATH=src python benchmarks/special.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from reparam import Noise
from reparam.transforms import implicit

COUNT, ROUNDS = 1_000_000, 5
MUST = {"Gamma": 0.5, "Beta": 0.4, "StudentT": 0.7}


def parameters() -> dict[str, tuple[Tensor, ...]]:
    spread = torch.linspace(0.5, 20.0, COUNT)
    return {"Gamma": (spread,), "Beta": (spread, spread.flip(0)), "StudentT": (spread,)}


def ours(name: str, noise: Noise, *p: Tensor) -> Tensor:
    eps = noise.normal((COUNT,))
    if name == "Gamma":
        return implicit.log_gamma_quantile(p[0], eps).exp()
    if name == "Beta":
        return torch.sigmoid(implicit.logit_beta_quantile(*p, eps))
    return implicit.student_quantile(p[0], eps)


def theirs(name: str, *p: Tensor) -> Tensor:
    if name == "Gamma":
        return torch.distributions.Gamma(p[0], torch.ones(()), validate_args=False).rsample()
    if name == "Beta":
        return torch.distributions.Beta(*p, validate_args=False).rsample()
    return torch.distributions.StudentT(p[0], validate_args=False).rsample()


def timed(draw: Callable[..., Tensor], p: tuple[Tensor, ...]) -> tuple[float, float]:
    leaves = [t.clone().requires_grad_() for t in p]
    start = time.perf_counter()
    z = draw(*leaves)
    middle = time.perf_counter()
    z.sum().backward()
    return middle - start, time.perf_counter() - start


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'family':10}{'ours fwd':>10}{'fwd+bwd':>10}{'torch fwd':>11}{'fwd+bwd':>10}{'ratio':>8}{'must':>7}   ns each")
    for name, p in parameters().items():
        timed(lambda *q, n=name: ours(n, Noise(0), *q), p)
        pairs = [
            (timed(lambda *q, n=name, i=i: ours(n, Noise(i), *q), p), timed(lambda *q, n=name: theirs(n, *q), p))
            for i in range(ROUNDS)
        ]
        columns = [statistics.median(c) * 1e9 / COUNT for c in zip(*(a + b for a, b in pairs))]
        print(
            f"{name:10}{columns[0]:10.1f}{columns[1]:10.1f}{columns[2]:11.1f}{columns[3]:10.1f}"
            f"{columns[1] / columns[3]:8.2f}{MUST[name]:7.2f}"
        )


if __name__ == "__main__":
    main()
