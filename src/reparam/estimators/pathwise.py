"""The pathwise estimator: differentiate f(g(eps; phi)) through the draw."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from reparam.distributions import Distribution
from reparam.estimators.base import evaluate, refuse_rule
from reparam.noise import Noise


@dataclass(frozen=True)
class Pathwise:
    """Estimate E f by the mean of f(z_s), z_s = g(eps_s; phi), and its gradient through g.

    Gradient: unbiased if f(g(.; phi)) is continuous with an integrable derivative; biased where f jumps or the
    support moves with phi. Variance falls with the slope of f, not its size. Double backward works.
    Cost: S evaluations of f.
    Source: kingma2014, rezende2014.
    """

    unbiased: ClassVar[bool] = True
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S"
    source: ClassVar[str] = "kingma2014"

    def __call__(self, f: Callable[[Tensor], Tensor], q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean over samples, shape (*B)."""
        refuse_rule(self, q, "none", "its draws have no derivative")
        return evaluate(f, q.rsample((samples,), noise=noise), q).mean(0)
