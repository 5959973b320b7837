"""A count that is 0 more often than its law says."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from reparam.distributions.base import Distribution
from reparam.distributions.convert import alike, convert
from reparam.noise import NoiseSpec

# P(noise <= e) in the laws that counts are drawn from
CDF = {
    "normal": torch.special.ndtr,
    "exponential": lambda e: -torch.expm1(-e),
    "logistic": torch.sigmoid,
    "uniform": lambda e: e,
}


class ZeroInflated(Distribution):
    """Law of a count that is 0 with probability g = sigmoid(logits), and else follows a base law.

        P(0) = g + (1 - g) P_base(0),   P(k) = (1 - g) P_base(k) for k > 0
        k = 0 if F(eps_0) < g, else the base law's push of eps_1;  F the distribution function of the noise

    Args:
        base: a law of scalar counts whose draws have rule "none" (Poisson, NegativeBinomial, ...).
        logits: logit of the probability g of an extra zero, real; broadcasts with the base's batch shape.

    Shape: batch shape as broadcast; scalar events; the noise has shape (*S, *B, 2).

    Gradient: rule "none": k is an integer. `log_prob` is differentiable in logits and the base's parameters.

    Raises:
        TypeError: for a base of another kind.

    Source: lambert1992.

    Example:
        >>> import reparam as rp
        >>> q = ZeroInflated(rp.distributions.Poisson(torch.tensor(3.0)), torch.tensor(0.0))
        >>> q.log_prob(torch.tensor(0.0)).exp()
        tensor(0.5249)
    """

    rule = "none"
    arg_constraints: ClassVar[dict] = {"logits": constraints.real}

    def __init__(
        self,
        base: torch.distributions.Distribution,
        logits: Any,
        validate_args: bool | None = None,
    ) -> None:
        base = convert(base)
        if base.rule != "none" or base.event_shape or base.noise_spec().law not in CDF:
            raise TypeError(
                f"ZeroInflated: base must be a law of scalar counts; got {type(base).__name__}; "
                "use for example Poisson or NegativeBinomial"
            )
        if not isinstance(logits, Tensor):
            like = next(iter(base.parameters().values()))
            logits = torch.as_tensor(logits, dtype=like.dtype, device=like.device)
        base, logits = alike(base, logits)
        batch = torch.broadcast_shapes(logits.shape, base.batch_shape)
        self.base, self.logits = base.expand(batch), logits.expand(batch)
        super().__init__(batch, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The support of the base law."""
        return self.base.support

    def parameters(self) -> dict[str, Tensor]:
        """Return logits, and the base's parameters under "base."."""
        return {
            "logits": self.logits,
            **{f"base.{key}": value for key, value in self.base.parameters().items()},
        }

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return noise of the base's law, two numbers per draw."""
        spec = self.base.noise_spec(sample_shape)
        return NoiseSpec(spec.law, (*spec.shape, 2), spec.sample_ndim, spec.dtype, spec.device)

    def push(self, eps: Tensor) -> Tensor:
        """Return 0 where F(eps_0) < g, else the base's draw."""
        u = CDF[self.base.noise_spec().law](eps[..., 0].double())
        return torch.where(u < torch.sigmoid(self.logits.double()), 0.0, self.base.push(eps[..., 1]))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P(k) in nats."""
        if self._validate_args:
            self._validate_sample(value)
        usual = logsigmoid(-self.logits) + self.base.log_prob(value)
        extra = torch.logaddexp(logsigmoid(self.logits).expand_as(usual), usual)
        return torch.where(value == 0, extra, usual)

    def cdf(self, value: Tensor) -> Tensor:
        """Return P(k <= x) = g + (1 - g) F_base(x) for x >= 0."""
        inside = torch.sigmoid(self.logits) + torch.sigmoid(-self.logits) * self.base.cdf(value)
        return torch.where(value >= 0, inside, 0.0)

    def icdf(self, value: Tensor) -> Tensor:
        """Return the smallest k with F(k) >= u, without a derivative: the base's at (u - g)/(1 - g)."""
        logits, u = self.logits.detach().double(), value.detach().double()
        inner = (u - torch.sigmoid(logits)) / torch.sigmoid(-logits)
        some = torch.where(inner > 0, inner, 0.5)
        return torch.where(inner > 0, self.base.icdf(some), 0.0).to(self.logits.dtype)

    @property
    def mean(self) -> Tensor:
        """(1 - g) times the base's mean."""
        return torch.sigmoid(-self.logits) * self.base.mean

    @property
    def variance(self) -> Tensor:
        """(1 - g)(variance + g mean^2) of the base."""
        kept = torch.sigmoid(-self.logits)
        return kept * (self.base.variance + torch.sigmoid(self.logits) * self.base.mean**2)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ZeroInflated":
        """Return the distribution with a larger batch shape."""
        batch = torch.Size(batch_shape)
        grown = ZeroInflated(self.base.expand(batch), self.logits.expand(batch), validate_args=False)
        grown._validate_args = self._validate_args
        return grown
