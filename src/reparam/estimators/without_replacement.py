"""Sampling without replacement: k distinct states, weighted by the chance of having been drawn first.

    E f = E_D [ sum_{z in D} q(z) R(D, z) f(z) ],   R(D, z) = p^{-z}(D minus z) / p(D)

p(D) is the probability of the unordered set D; p^{-z} that under q without z. q(z) R(D, z) sums to 1 over D.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reparam.distributions import Distribution
from reparam.estimators.base import evaluate
from reparam.estimators.rao_blackwell import pick
from reparam.estimators.site import probability, states
from reparam.noise import Noise, NoiseSpec
from reparam.transforms.relaxation import zero

LARGEST = 6


@dataclass(frozen=True)
class WithoutReplacement:
    """Estimate E f from k distinct states, the k largest of log q(z) + Gumbel noise.

    For k >= 2 each state has a baseline from the others, b_z = q(z) f(z) + sum_{y in D, y != z} q(y) R^{-z}(D, y) f(y),
    R^{-z} being the weights under q without z.

    Args:
        k: states in a set, 1 to 6 (the probability of a set costs 2^k); None takes one set of k = samples.
        limit: the largest number of states whose probability is computed.

    Gradient: unbiased for every k up to the number of states, where it is exact. Derivatives of any order are
    unbiased.
    Cost: S sets of k evaluations of f (k=None: S evaluations).
    Source: kool2020.
    """

    k: int | None = None
    limit: int = 65_536

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = False
    cost: ClassVar[str] = "S k (k=None: S)"
    source: ClassVar[str] = "kool2020"

    def __call__(self, f: Callable[[Tensor], Tensor], q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the weighted sum over the set, averaged over sets, shape (*B)."""
        k, sets = (samples, 1) if self.k is None else (self.k, samples)
        z = states(self, q, self.limit)
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= min(LARGEST, len(z)):
            raise ValueError(
                f"WithoutReplacement: k must be an int from 1 to {min(LARGEST, len(z))}, the number of states or "
                f"{LARGEST}; got {k!r}"
            )
        p = probability(q, z)
        spec = NoiseSpec("gumbel", (sets, *p.shape[1:], len(z)), 1, p.dtype, p.device)
        perturbed = torch.movedim(p.detach(), 0, -1).log() + noise.draw(spec)
        drawn = torch.movedim(perturbed.topk(k, dim=-1).indices, -1, 0)  # (k, sets, *B)
        flat = drawn.flatten(0, 1)
        value = evaluate(f, pick(z, flat), q).unflatten(0, (k, sets))
        mass = p.gather(0, flat).unflatten(0, (k, sets))
        inside = torch.stack(
            [torch.zeros_like(p, dtype=torch.bool).scatter(0, drawn[:, s], True) for s in range(sets)]
        )
        rest = torch.where(inside, 0.0, p.detach()).sum(1)  # mass outside each set, (sets, *B)
        if q._validate_args and not torch.compiler.is_compiling() and bool((mass <= 0).any()):
            raise ValueError(
                f"WithoutReplacement: k must be at most the number of states of positive probability; got {k}"
            )
        return weighted_sum(mass, rest, value).mean(0)


def weighted_sum(p: Tensor, rest: Tensor, f: Tensor) -> Tensor:
    """Return sum_z q(z) R(D, z) f(z), with baselines in its gradient; p and f of the set are (k, *M), rest (*M)."""
    k, q, value = len(p), p.detach(), f.detach()
    whole = chance(q, rest, ())
    total = torch.zeros_like(f[0])
    for i in range(k):
        without = chance(q, rest, (i,))
        R = without / whole
        b = torch.zeros_like(total)
        if k > 1:
            b = q[i] * value[i]
            for j in range(k):
                if j != i:
                    b = b + q[j] * chance(q, rest, (i, j)) / without * value[j]
        total = total + p[i] * R * f[i] - zero(p[i]) * R * b
    return total


def chance(q: Tensor, rest: Tensor, removed: tuple[int, ...]) -> Tensor:
    """Return the probability that the set without `removed` is drawn first, from the law without `removed`.

    P(T) = sum_{s in T} P(T minus s) q(s) / (mass left after T minus s), over subsets T, smallest first.
    """
    members = [i for i in range(len(q)) if i not in removed]
    n = len(members)
    P: list[Tensor] = [torch.ones_like(rest)]
    for T in range(1, 1 << n):
        P.append(torch.zeros_like(rest))
        for bit in range(n):
            if T >> bit & 1:
                before = T ^ (1 << bit)
                left = rest + sum(q[members[m]] for m in range(n) if not before >> m & 1)
                P[T] = P[T] + P[before] * q[members[bit]] / left
    return P[-1]
