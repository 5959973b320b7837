"""Mixtures of different one-dimensional families, drawn by the quantile of the whole mixture.

    F(z) = sum_k pi_k F_k(z) = Phi(eps),   q(z) = sum_k pi_k q_k(z),   dz/dtheta = -F_theta/q

so that a draw moves smoothly with the weights too. With the responsibility r_k = pi_k q_k/q of component k at z,

    dz/dtheta_k = r_k v_k,   dz/dl_k = -pi_k (F_k - F)/q,   v_k the component's own pathwise derivative
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from reparam.distributions.base import Distribution
from reparam.distributions.categorical import Categorical
from reparam.distributions.convert import alike, convert
from reparam.distributions.explicit import Univariate
from reparam.distributions.pushforward import log_sum
from reparam.distributions.solved import Solved
from reparam.distributions.von_mises import VonMises
from reparam.distributions.whole import rebuild


class Mixture(Solved):
    """Mixture of one-dimensional laws that may be of different families: component k with probability pi_k.

        F(z) = Phi(eps),  eps ~ N(0, 1),  F = sum_k pi_k F_k

    Args:
        mixture_distribution: a Categorical over K components, batch shape (*B).
        components: K one-dimensional families with cdf and icdf, whose batch shapes broadcast with (*B).

    Shape: batch (*B); scalar events.

    Gradient: implicit, unbiased, for the weights and every parameter of every component: dz/dtheta = -F_theta/q.
    `pathwise(x)` has the weights' name, "logits" or "probs" as given, of shape (*x.shape, K), and "k.name" for the
    parameters of component k. Reverse, forward, vmap, compile; second derivatives exact. Cost: the quantiles of all
    components, then about six evaluations of their F and q.

    Raises:
        TypeError: for a component that is no one-dimensional family on the line.
        ValueError: for a number of components that is not K.

    Source: figurnov2018.

    Example:
        >>> from reparam.distributions import Categorical, Gamma, Normal
        >>> one = torch.tensor(1.0)
        >>> q = Mixture(Categorical(logits=torch.zeros(2)), [Normal(0 * one, one), Gamma(2 * one, one)])
        >>> q.cdf(one), q.icdf(q.cdf(one))
        (tensor(0.5528), tensor(1.0000))
    """

    arg_constraints: dict = {}  # noqa: RUF012  (torch reads the attribute from the class)

    def __init__(
        self,
        mixture_distribution: torch.distributions.Categorical,
        components: Sequence[torch.distributions.Distribution],
        validate_args: bool | None = None,
    ) -> None:
        weights = convert(mixture_distribution)
        if not isinstance(weights, Categorical):
            raise TypeError(
                f"Mixture: mixture_distribution must be a Categorical; got {type(mixture_distribution).__name__}"
            )
        ours: list[Univariate] = []
        for component in map(convert, components):
            if not isinstance(component, Univariate) or isinstance(component, VonMises):
                raise TypeError(
                    "Mixture: components must be one-dimensional families with a cdf on the line; got "
                    f"{type(component).__name__}"
                )
            ours.append(component)
        if weights.param_shape[-1] != len(ours):
            raise ValueError(
                f"Mixture: components must be as many as mixture_distribution has categories, "
                f"{weights.param_shape[-1]}; got {len(ours)}"
            )
        weights, *ours = alike(weights, *ours)
        shape = torch.broadcast_shapes(weights.batch_shape, *(c.batch_shape for c in ours))
        self.mixture_distribution = weights if weights.batch_shape == shape else weights.expand(shape)
        self.components = [c if c.batch_shape == shape else c.expand(shape) for c in ours]
        super().__init__(shape, validate_args=validate_args)

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        """Whether each leaf of every component has one number for each draw."""
        return all(c.elementwise for c in self.components)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The smallest interval that holds the supports of all components."""
        low = _widest([getattr(c.support, "lower_bound", -torch.inf) for c in self.components], torch.minimum)
        high = _widest([getattr(c.support, "upper_bound", torch.inf) for c in self.components], torch.maximum)
        return constraints.interval(low, high)

    def parameters(self) -> dict[str, Tensor]:
        """Return the weights by the name that was given, and the parameters of component k as "k.name"."""
        inner = {
            f"{k}.{name}": v for k, c in enumerate(self.components) for name, v in c.parameters().items()
        }
        return self.mixture_distribution.parameters() | inner

    def _as(self, dtype: torch.dtype) -> Any:
        return Distribution._as(self, dtype)  # logits as they were given

    def rebuilt(self, change: Callable[[str, Tensor], Tensor]) -> Any:
        """Return the family at the parameters change(name, value), without validation."""
        weights = {name: change(name, v) for name, v in self.mixture_distribution.parameters().items()}
        components = [
            component.rebuilt(lambda name, value, k=k: change(f"{k}.{name}", value))  # type: ignore[misc]
            for k, component in enumerate(self.components)
        ]
        return Mixture(Categorical(**weights, validate_args=False), components, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Mixture":
        """Return the distribution with a larger batch shape."""
        components = [component.expand(batch_shape) for component in self.components]
        new = Mixture(self.mixture_distribution.expand(batch_shape), components, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_weights(self) -> Tensor:
        """Return log pi (*B, K)."""
        name, value = next(iter(self.mixture_distribution.parameters().items()))
        if name == "logits":
            return torch.log_softmax(value, -1)
        some = value > 0
        return (
            torch.where(some, torch.log(torch.where(some, value, 1.0)), -torch.inf)
            - value.sum(-1, keepdim=True).log()
        )

    def log_density(self, x: Tensor) -> Tensor:
        """Return log sum_k pi_k q_k(x)."""
        return log_sum(self._terms(x))

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return sum_k pi_k F_k(x)."""
        return self._mean([c.masses(x)[0] for c in self.components])

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return sum_k pi_k S_k(x)."""
        return self._mean([c.masses(x)[1] for c in self.components])

    def masses(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return F(x) and S(x), for any x."""
        cdfs, survivals = zip(*(c.masses(x) for c in self.components))
        return self._mean(cdfs), self._mean(survivals)

    def log_density_anywhere(self, x: Tensor) -> Tensor:
        """Return log q(x), for any x."""
        return self.log_density(x)

    def bracket(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least and the largest quantile of the components that have weight."""
        quantiles = torch.stack([c.at_score(eps) for c in self.components])
        none = self._along(self.log_weights(), quantiles) == -torch.inf
        low = torch.where(none, torch.inf, quantiles).amin(0)
        high = torch.where(none, -torch.inf, quantiles).amax(0)
        largest = torch.finfo(torch.float64).max
        low, high = low.clamp(-largest, largest), high.clamp(-largest, largest)
        return low - low.abs() * 1e-13, high + high.abs() * 1e-13

    def start(self, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the mean of the components' quantiles, which is the root where one component has all weight."""
        return self._mean([c.at_score(eps).clamp(low, high) for c in self.components])

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return r_k v_k for the components' parameters and -pi_k (F_k - F)/q for logits, without pi_k for probs."""
        terms = self._terms(x)
        log_q = log_sum(terms)
        share = torch.where(terms > -torch.inf, torch.exp(terms - log_q), 0.0)
        out = {}
        for k, component in enumerate(self.components):
            inside = torch.isfinite(terms[k])
            safe = torch.where(inside, x, component.icdf_formula(torch.full_like(x, 0.5)))
            for name, slope in component.pathwise(safe).items():
                out[f"{k}.{name}"] = torch.where(inside, share[k] * slope, 0.0)
        cdfs, survivals = (torch.stack(side) for side in zip(*(c.masses(x) for c in self.components)))
        F, S = self._mean(list(cdfs)), self._mean(list(survivals))
        gain = torch.where(F < S, F - cdfs, survivals - S) / torch.exp(log_q)
        name, _ = next(iter(self.mixture_distribution.parameters().items()))
        scale = (
            torch.exp(self._along(self.log_weights(), gain)) if name == "logits" else torch.ones_like(gain)
        )
        return {name: (scale * gain).movedim(0, -1), **out}

    @property
    def mean(self) -> Tensor:
        """The mean, sum_k pi_k mean_k."""
        return self._mean([c.mean for c in self.components])

    @property
    def variance(self) -> Tensor:
        """The variance, sum_k pi_k (variance_k + (mean_k - mean)^2)."""
        return self._mean([c.variance + (c.mean - self.mean) ** 2 for c in self.components])

    def outline(self) -> tuple[Any, ...]:
        """Return the family and the outlines of its components."""
        return f"{__name__}.{type(self).__qualname__}", *(c.outline() for c in self.components)

    def leaves(self) -> list[Tensor]:
        """Return log pi_1 .. log pi_K, then the leaves of the components."""
        return [*self.log_weights().unbind(-1), *(leaf for c in self.components for leaf in c.leaves())]

    @classmethod
    def from_outline(cls, outline: tuple[Any, ...], leaves: Iterator[Tensor]) -> Any:
        """Return the law of an outline with the next leaves as its parameters, without validation."""
        logits = torch.stack(torch.broadcast_tensors(*(next(leaves) for _ in outline[1:])), -1)
        parts = [rebuild(part, leaves) for part in outline[1:]]
        return Mixture(Categorical(logits=logits, validate_args=False), parts, validate_args=False)

    def _along(self, log_weights: Tensor, values: Tensor) -> Tensor:
        """Return log weights (*B, K) as (K, 1, .., 1, *B), to go with values (K, *S, *B)."""
        first = log_weights.movedim(-1, 0)
        return first.reshape(first.shape[0], *(1,) * (values.ndim - first.ndim), *first.shape[1:])

    def _mean(self, values: Sequence[Tensor]) -> Tensor:
        """Return sum_k pi_k values_k."""
        stacked = torch.stack(torch.broadcast_tensors(*values))
        return (torch.exp(self._along(self.log_weights(), stacked)) * stacked).sum(0)

    def _terms(self, x: Tensor) -> Tensor:
        """Return log pi_k + log q_k(x), (K, *x.shape)."""
        values = torch.stack([c.log_density_anywhere(x) for c in self.components])
        return self._along(self.log_weights(), values) + values


def _widest(bounds: list[Any], choose: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """Return the outermost of bounds, which are numbers or tensors."""
    result = torch.as_tensor(bounds[0])
    for bound in bounds[1:]:
        result = choose(result, torch.as_tensor(bound, dtype=result.dtype))
    return result
