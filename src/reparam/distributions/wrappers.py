"""Torch's wrappers around our distributions: they hand the noise down."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence, register_kl

from reparam.distributions.base import Distribution
from reparam.distributions.convert import convert, register
from reparam.noise import NoiseSpec


class Wrapper(Distribution):
    """What a wrapper takes from the distribution within."""

    base_dist: Distribution

    @property
    def rule(self) -> str:
        """The rule of the base distribution."""
        return self.base_dist.rule

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters of the base distribution."""
        return self.base_dist.parameters()

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return the noise that the base distribution eats."""
        return self.base_dist.noise_spec(sample_shape)


class Independent(Wrapper, torch.distributions.Independent):
    """Read the last batch dimensions of a distribution as event dimensions.

    Args:
        base_distribution: any distribution that `convert` accepts.
        reinterpreted_batch_ndims: how many.

    Gradient: that of the base distribution.

    Example:
        >>> import reparam as rp
        >>> q = Independent(rp.distributions.Normal(torch.zeros(2, 3), torch.ones(3)), 1)
        >>> q.log_prob(q.rsample(noise=rp.Noise(0))).shape
        torch.Size([2])
    """

    def __init__(
        self,
        base_distribution: torch.distributions.Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(convert(base_distribution), reinterpreted_batch_ndims, validate_args=validate_args)

    def _check(self, value: Tensor) -> None:
        self.base_dist._check(value)

    def push(self, eps: Tensor) -> Tensor:
        """Return g(eps; phi) of the base distribution."""
        return self.base_dist.push(eps)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return the pathwise derivatives of the base distribution."""
        return self.base_dist.pathwise(x)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density in nats: the sum over the reinterpreted dimensions; empty batches are empty sums."""
        return _sum_last(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        """Return the entropy in nats: the sum over the reinterpreted dimensions."""
        return _sum_last(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Independent":
        """Return the distribution with a larger batch shape."""
        inner = torch.Size(batch_shape) + self.event_shape[: self.reinterpreted_batch_ndims]
        return Independent(self.base_dist.expand(inner), self.reinterpreted_batch_ndims, self._validate_args)


@register_kl(Independent, Independent)
def _kl_independent(q: Independent, p: Independent) -> Tensor:
    """Return KL(q || p) in nats; empty batches, which torch's own rule refuses, are empty sums."""
    if q.reinterpreted_batch_ndims != p.reinterpreted_batch_ndims:
        raise NotImplementedError("KL of two Independent laws: their event dimensions must be as many")
    return _sum_last(kl_divergence(q.base_dist, p.base_dist), q.reinterpreted_batch_ndims)


def _sum_last(value: Tensor, dims: int) -> Tensor:
    return value.sum(tuple(range(-dims, 0))) if dims else value


class TransformedDistribution(Wrapper, torch.distributions.TransformedDistribution):
    """The law of T(x), x from a base distribution, T invertible (torch's transforms).

        z = T(g(eps; phi)),   log q(z) = log q_base(x) - log |det dT/dx|

    Gradient: that of the base distribution, carried through T by the chain rule.
    """

    def __init__(
        self,
        base_distribution: torch.distributions.Distribution,
        transforms: Any,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(convert(base_distribution), transforms, validate_args=validate_args)
        self.base_dist = convert(self.base_dist)  # torch wraps it anew for transforms of vectors

    def push(self, eps: Tensor) -> Tensor:
        """Return T(g(eps; phi))."""
        return self._forward(self.base_dist.push(eps))

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return (dT/dx) dx/dphi for each parameter of the base distribution."""
        inner = x
        for transform in reversed(self.transforms):
            inner = transform.inv(inner)
        tangents = self.base_dist.pathwise(inner)
        return {name: torch.func.jvp(self._forward, (inner,), (t,))[1] for name, t in tangents.items()}

    def expand(self, batch_shape: Any, _instance: Any = None) -> "TransformedDistribution":
        """Return the distribution with a larger batch shape."""
        wrapped = torch.distributions.TransformedDistribution(self.base_dist, self.transforms)
        grown = wrapped.expand(torch.Size(batch_shape))
        return TransformedDistribution(grown.base_dist, grown.transforms, self._validate_args)

    def _forward(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x


register(
    torch.distributions.Independent,
    lambda q: Independent(q.base_dist, q.reinterpreted_batch_ndims, q._validate_args),
)
register(
    torch.distributions.TransformedDistribution,
    lambda q: TransformedDistribution(q.base_dist, q.transforms, q._validate_args),
)
