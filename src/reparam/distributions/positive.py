"""Explicit families on the half-line: Exponential, Weibull, HalfNormal, HalfCauchy."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from reparam.distributions import laws
from reparam.distributions.arguments import joined
from reparam.distributions.explicit import Explicit
from reparam.distributions.lean import Lean
from reparam.distributions.one_pass import OfNoise
from reparam.special.logarithms import log_quotient
from reparam.transforms.noise_maps import EXPONENTIAL, WEIBULL


class Exponential(OfNoise, torch.distributions.Exponential):
    """Exponential law, density rate exp(-rate x).

        z = eps / rate,  eps ~ Exponential(1)

    Args:
        rate: inverse of the mean, > 0.

    Shape: the shape of rate is the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/drate = -z / rate. Double backward and forward mode work.

    Source: devroye1986.

    Example:
        >>> Exponential(torch.tensor(2.0)).survival(torch.tensor(1.0))
        tensor(0.1353)
    """

    law = laws.EXPONENTIAL
    map = EXPONENTIAL

    def pull(self, x: Tensor) -> Tensor:
        """Return rate x."""
        return self.rate * x

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log rate."""
        return torch.log(self.rate)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/drate = -x / rate."""
        return {"rate": -x / self.rate}


class Weibull(Lean, OfNoise, torch.distributions.Weibull):
    """Weibull law, S(x) = exp(-(x / scale)^concentration).

        z = scale eps^(1 / concentration),  eps ~ Exponential(1)

    Args:
        scale: > 0.
        concentration: shape, > 0.

    Shape: scale and concentration broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dscale = z / scale, dz/dconcentration = -z log(z / scale) / concentration.
    Double backward and forward mode work. A draw below half the smallest float is 0, which the support holds.

    Source: devroye1986.

    Example:
        >>> Weibull(torch.tensor(1.0), torch.tensor(2.0)).survival(torch.tensor(1.0))
        tensor(0.3679)
    """

    late = "base_dist", "transforms", "concentration_reciprocal"
    support = constraints.nonnegative  # type: ignore[assignment]
    law = laws.EXPONENTIAL
    map = WEIBULL

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = joined(scale, concentration)
        self.settle(self.scale.shape, validate_args)

    def pull(self, x: Tensor) -> Tensor:
        """Return (x / scale)^concentration."""
        inside = x > 0
        power = torch.exp(self.concentration * log_quotient(torch.where(inside, x, self.scale), self.scale))
        return torch.where(inside, power, 0.0)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log(concentration / scale) + (concentration - 1) log(x / scale); its limit at 0."""
        power = (self.concentration - 1) * log_quotient(torch.where(x > 0, x, self.scale), self.scale)
        limit = torch.where(self.concentration < 1, torch.inf, -torch.inf)
        at_zero = torch.where(self.concentration == 1, 0.0, limit)
        return torch.log(self.concentration) - torch.log(self.scale) + torch.where(x > 0, power, at_zero)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dscale = x / scale and dz/dconcentration = -x log(x / scale) / concentration."""
        ratio = x / self.scale
        return {
            "scale": ratio,
            "concentration": -torch.where(x > 0, x * log_quotient(x, self.scale), 0.0) / self.concentration,
        }


class Half(Explicit):
    """The shared map of the folded scale families: z = scale |eps|."""

    scale: Tensor

    def push(self, eps: Tensor) -> Tensor:
        """Return scale |eps|."""
        return self.scale * torch.abs(eps)

    def pull(self, x: Tensor) -> Tensor:
        """Return |eps| = x / scale."""
        return x / self.scale

    def log_slope(self, x: Tensor) -> Tensor:
        """Return -log scale."""
        return -torch.log(self.scale)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dscale = x / scale."""
        return {"scale": self.pull(x)}


class HalfNormal(Half, torch.distributions.HalfNormal):
    """Half-normal law: |x| for x ~ N(0, scale^2).

        z = scale |eps|,  eps ~ N(0, 1)

    Args:
        scale: standard deviation of x, > 0.

    Shape: the shape of scale is the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dscale = z / scale. Double backward and forward mode work. The map is a fold:
    antithetic noise gives equal, not opposite, draws.

    Source: devroye1986.

    Example:
        >>> HalfNormal(torch.tensor(2.0)).cdf(torch.tensor(2.0))
        tensor(0.6827)
    """

    base_law = "normal"
    law = laws.HALF_NORMAL


class HalfCauchy(Half, torch.distributions.HalfCauchy):
    """Half-Cauchy law: |x| for x ~ Cauchy(0, scale); no moments.

        z = scale |eps|,  eps ~ Cauchy(0, 1)

    Args:
        scale: median, > 0.

    Shape: the shape of scale is the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dscale = z / scale. Double backward and forward mode work. The map is a fold:
    antithetic noise gives equal, not opposite, draws.

    Source: devroye1986.

    Example:
        >>> HalfCauchy(torch.tensor(2.0)).cdf(torch.tensor(2.0))
        tensor(0.5000)
    """

    base_law = "cauchy"
    law = laws.HALF_CAUCHY
