"""Location-scale families: z = loc + scale eps, eps from a standard law on the line."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints

from reparam.distributions import laws
from reparam.distributions.arguments import joined
from reparam.distributions.lean import Lean
from reparam.distributions.one_pass import OnePass
from reparam.noise import Noise
from reparam.transforms.affine import location_scale_draw


class LocationScale(Lean, OnePass):
    """The shared map of the location-scale families: z = loc + scale eps, h(z) = (z - loc) / scale."""

    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = joined(loc, scale)
        self.settle(self.loc.shape, validate_args)

    def one_pass(self, noise: Noise, shape: torch.Size) -> Tensor | None:
        """Return loc + scale eps with the noise drawn on the way, from 16,384 numbers on."""
        return location_scale_draw(self.base_law, noise, shape, self.loc, self.scale)

    def like(self) -> Tensor:
        """Return loc."""
        return self.loc

    def push(self, eps: Tensor) -> Tensor:
        """Return loc + scale eps."""
        return self.loc + self.scale * eps

    def pull(self, x: Tensor) -> Tensor:
        """Return (x - loc) / scale."""
        return (x - self.loc) / self.scale

    def log_slope(self, x: Tensor) -> Tensor:
        """Return -log scale."""
        return -torch.log(self.scale)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dloc = 1 and dz/dscale = (x - loc) / scale."""
        slope = self.pull(x)
        return {"loc": torch.ones_like(slope), "scale": slope}


class Laplace(LocationScale, torch.distributions.Laplace):
    """Laplace law, density exp(-|x - loc| / scale) / (2 scale).

        z = loc + scale eps,  eps ~ Laplace(0, 1)

    Args:
        loc: mean and median, real.
        scale: > 0; the standard deviation is sqrt(2) scale.

    Shape: loc and scale broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dloc = 1, dz/dscale = (z - loc) / scale. Double backward and forward mode work.

    Source: devroye1986.

    Example:
        >>> q = Laplace(torch.tensor(1.0), torch.tensor(0.5))
        >>> q.cdf(torch.tensor(1.0))
        tensor(0.5000)
    """

    base_law = "laplace"
    law = laws.LAPLACE


class Cauchy(LocationScale, torch.distributions.Cauchy):
    """Cauchy law, density 1 / (pi scale (1 + ((x - loc) / scale)^2)); no moments.

        z = loc + scale eps,  eps ~ Cauchy(0, 1)

    Args:
        loc: median, real.
        scale: half the distance between the quartiles, > 0.

    Shape: loc and scale broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dloc = 1, dz/dscale = (z - loc) / scale. Double backward and forward mode work.

    Source: devroye1986.

    Example:
        >>> q = Cauchy(torch.tensor(0.0), torch.tensor(1.0))
        >>> q.cdf(torch.tensor(-1e6))
        tensor(3.1831e-07)
    """

    base_law = "cauchy"
    law = laws.CAUCHY


class Gumbel(LocationScale, torch.distributions.Gumbel):
    """Gumbel law of maxima, F(x) = exp(-exp(-(x - loc) / scale)).

        z = loc + scale eps,  eps ~ Gumbel(0, 1)

    Args:
        loc: mode, real.
        scale: > 0; the standard deviation is pi scale / sqrt(6).

    Shape: loc and scale broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dloc = 1, dz/dscale = (z - loc) / scale. Double backward and forward mode work.

    Source: devroye1986.

    Example:
        >>> q = Gumbel(torch.tensor(0.0), torch.tensor(1.0))
        >>> q.log_prob(torch.tensor(0.0))
        tensor(-1.)
    """

    late = "base_dist", "transforms"
    base_law = "gumbel"
    law = laws.GUMBEL


class Logistic(LocationScale):
    """Logistic law, F(x) = sigmoid((x - loc) / scale).

        z = loc + scale eps,  eps ~ Logistic(0, 1)

    Args:
        loc: mean and median, real.
        scale: > 0; the standard deviation is pi scale / sqrt(3).

    Shape: loc and scale broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dloc = 1, dz/dscale = (z - loc) / scale. Double backward and forward mode work.

    Source: devroye1986.

    Example:
        >>> q = Logistic(torch.tensor(0.0), torch.tensor(1.0))
        >>> q.icdf(torch.tensor(0.75))
        tensor(1.0986)
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    base_law = "logistic"
    law = laws.LOGISTIC

    @property
    def mean(self) -> Tensor:
        """The mean, loc."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The mode, loc."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance, (pi scale)^2 / 3."""
        return (math.pi * self.scale) ** 2 / 3

    def entropy(self) -> Tensor:
        """Return log scale + 2 in nats."""
        return torch.log(self.scale) + 2
