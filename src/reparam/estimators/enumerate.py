"""Enumeration: the sum over every state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from reparam.distributions import Distribution
from reparam.estimators.base import evaluate
from reparam.estimators.site import probability, states
from reparam.noise import Noise


@dataclass(frozen=True)
class Enumerate:
    """Compute E f = sum_z q(z) f(z) exactly, over every state z of a finite q, Independent ones included.

    Args:
        limit: the largest number of states N to evaluate; more raise. Samples and noise are not used.

    Gradient: exact, no variance; derivatives of any order are exact. Probabilities of exactly 0 and 1 are allowed.
    Cost: N evaluations of f, N = (states of a site)^(number of sites), as one call of f with N in place of S.
    """

    limit: int = 65_536

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = False
    cost: ClassVar[str] = "N, the number of states"
    source: ClassVar[str] = "definition of the expectation"

    def __call__(self, f: Callable[[Tensor], Tensor], q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the sum over states, shape (*B)."""
        z = states(self, q, self.limit)
        return (probability(q, z) * evaluate(f, z, q)).sum(0)
