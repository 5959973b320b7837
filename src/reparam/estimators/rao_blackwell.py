"""Rao-Blackwellised score function: the k likeliest states exactly, the rest by sampling.

E f = sum_{z in C} q(z) f(z) + r E[f(z) | z not in C],   r = 1 - sum_{z in C} q(z)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reparam.distributions import Distribution
from reparam.estimators.base import evaluate
from reparam.estimators.site import probability, states
from reparam.estimators.surrogate import box
from reparam.noise import Noise, NoiseSpec


@dataclass(frozen=True)
class RaoBlackwell:
    """Sum over the k likeliest states and estimate the remainder from S draws of it.

    The baseline of the remainder is the mean of f over C, which no draw touches.

    Args:
        k: how many states are summed, >= 1; with k >= N the sum is exact.
        limit: the largest number of states N whose probability is computed.

    Gradient: unbiased; its variance carries a factor r^2, so that it is small where q is concentrated.
    Derivatives of any order are unbiased.
    Cost: k + S evaluations of f, and N probabilities.
    Source: liu2019.
    """

    k: int
    limit: int = 65_536

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = False
    cost: ClassVar[str] = "k + S"
    source: ClassVar[str] = "liu2019"

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ValueError(f"RaoBlackwell: k must be an int >= 1; got {self.k!r}")

    def __call__(self, f: Callable[[Tensor], Tensor], q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the exact part plus the sampled part, shape (*B)."""
        z = states(self, q, self.limit)
        p = probability(q, z)
        if self.k >= len(z):
            return (p * evaluate(f, z, q)).sum(0)
        top = p.detach().topk(self.k, dim=0).indices
        rest = torch.ones_like(p, dtype=torch.bool).scatter(0, top, False)
        spec = NoiseSpec("gumbel", (samples, *p.shape[1:], len(z)), 1, p.dtype, p.device)
        draws = choose(torch.where(rest, p.detach(), 0.0), noise.draw(spec))
        value = evaluate(f, torch.cat([pick(z, top), pick(z, draws)]), q)
        exact = p.gather(0, top)
        inside = (exact * value[: self.k]).sum(0)
        r = torch.where(rest, p, 0.0).sum(0)
        alive = r > 0
        conditional = p.gather(0, draws) / torch.where(alive, r, 1.0)
        weight = box(torch.where(conditional > 0, conditional, 1.0).log())
        b = (inside / exact.sum(0)).detach()
        return inside + torch.where(alive, r * (weight * (value[self.k :] - b) + b).mean(0), 0.0)


def choose(p: Tensor, gumbel: Tensor) -> Tensor:
    """Return draws (S, *B) of state numbers, with probability proportional to p (N, *B); gumbel is (S, *B, N)."""
    return (torch.movedim(p, 0, -1).log() + gumbel).argmax(-1)


def pick(z: Tensor, index: Tensor) -> Tensor:
    """Return the states (M, *B, *E) that index (M, *B) names, out of z (N, *B, *E)."""
    event = z.ndim - index.ndim
    full = index.reshape(index.shape + (1,) * event).expand(index.shape + z.shape[index.ndim :])
    return z.gather(0, full)
