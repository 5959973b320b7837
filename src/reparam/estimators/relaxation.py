"""Biased estimators: the gradient of a relaxed draw stands in for the one that the draw does not have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from reparam.distributions import Distribution
from reparam.estimators.base import evaluate
from reparam.estimators.site import discrete_site
from reparam.noise import Noise
from reparam.transforms.relaxation import (
    Site,
    gumbel_rao,
    gumbel_straight_through,
    reinmax,
    straight_through,
    zero,
)

Function = Callable[[Tensor], Tensor]


def drawn(q: Distribution, site: Site, samples: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """Return perturbed logits z (with a graph) and the draws b = hard(z)."""
    z = site.logits + noise.draw(q.noise_spec((samples,)))
    return z, site.hard(z.detach())


@dataclass(frozen=True)
class StraightThrough:
    """Evaluate f at the draw b, and differentiate as if db/dlogits = dp/dlogits, p the probabilities.

    Gradient: biased, unless f is linear in each site. f is evaluated at the draw. Low variance.
    Cost: S evaluations of f.
    Source: bengio2013.
    """

    unbiased: ClassVar[bool] = False
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S"
    source: ClassVar[str] = "bengio2013"

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean of f over the draws, shape (*B)."""
        site = discrete_site(self, q)
        _, b = drawn(q, site, samples, noise)
        return evaluate(f, straight_through(site, b), q).mean(0)


@dataclass(frozen=True)
class GumbelSoftmax:
    """Differentiate the relaxed objective E f(soft(z, temperature)) in place of E f(b); sigmoid for binary sites.

    Args:
        temperature: > 0; small: less bias, more variance.
        hard: evaluate f at the draw b and only dz through the relaxation (straight-through Gumbel-softmax).

    Gradient: biased: that of the relaxed objective, in every parameter, those of f included. The value is the mean
    of f at the draws; with hard=False the gradient is taken at the relaxed points.
    Cost: 2 S evaluations of f (hard=True: S); f must accept relaxed draws.
    Source: jang2017, maddison2017.
    """

    temperature: float | Tensor = 0.5
    hard: bool = False

    unbiased: ClassVar[bool] = False
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "2 S (hard=True: S)"
    source: ClassVar[str] = "jang2017"

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean of f over the draws, shape (*B)."""
        site = discrete_site(self, q)
        z, b = drawn(q, site, samples, noise)
        if self.hard:
            return evaluate(f, gumbel_straight_through(site, z, self.temperature), q).mean(0)
        soft = site.soft(z, self.temperature)
        return evaluate(f, b, q).mean(0).detach() + zero(evaluate(f, soft, q).mean(0))


@dataclass(frozen=True)
class GumbelRao:
    """Straight-through Gumbel-softmax, its relaxed derivative averaged over k noises that give the same draw.

    Args:
        k: conditional draws of the noise, >= 1; they cost no evaluation of f.
        temperature: > 0; may be smaller than GumbelSoftmax's, for less bias at the same variance.

    Gradient: biased, as GumbelSoftmax(hard=True), with the same mean and a lower variance. f is evaluated at the
    draw.
    Cost: S evaluations of f.
    Source: paulus2021.
    """

    k: int = 16
    temperature: float | Tensor = 0.5

    unbiased: ClassVar[bool] = False
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S"
    source: ClassVar[str] = "paulus2021"

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ValueError(f"GumbelRao: k must be an int >= 1; got {self.k!r}")

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean of f over the draws, shape (*B)."""
        site = discrete_site(self, q)
        _, b = drawn(q, site, samples, noise)
        eps = noise.child("given").draw(q.noise_spec((self.k, samples)))
        return evaluate(f, gumbel_rao(site, b, eps, self.temperature), q).mean(0)


@dataclass(frozen=True)
class ReinMax:
    """Evaluate f at the draw b, and differentiate by Heun's rule, exact where f is quadratic in a site.

        p = softmax(logits),  h = (b + softmax(logits / temperature)) / 2,  db = 2 J(h) - J(p) / 2,
        J(p) = diag(p) - p p' the Jacobian of the softmax at p (binary: p (1 - p))

    Args:
        temperature: >= 1 trades bias for variance; 1 is the second-order rule.

    Gradient: biased, of second order; exact at temperature 1 for f of degree two along each site. f is evaluated at
    the draw.
    Cost: S evaluations of f.
    Source: liu2023.
    """

    temperature: float | Tensor = 1.0

    unbiased: ClassVar[bool] = False
    plain_value: ClassVar[bool] = True
    cost: ClassVar[str] = "S"
    source: ClassVar[str] = "liu2023"

    def __call__(self, f: Function, q: Distribution, samples: int, noise: Noise) -> Tensor:
        """Return the mean of f over the draws, shape (*B)."""
        site = discrete_site(self, q)
        _, b = drawn(q, site, samples, noise)
        return evaluate(f, reinmax(site, b, self.temperature), q).mean(0)
