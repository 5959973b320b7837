"""Power laws: Pareto and GeneralizedPareto."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints

from reparam.distributions import laws
from reparam.distributions.explicit import Explicit
from reparam.distributions.one_pass import OfNoise
from reparam.special.logarithms import log_quotient
from reparam.transforms.noise_maps import PARETO
from reparam.transforms.quotients import logrel


class Pareto(Explicit, torch.distributions.Pareto):
    """Pareto law, S(x) = (scale / x)^alpha for x >= scale.

        z = scale exp(eps / alpha),  eps ~ Exponential(1)

    Args:
        scale: smallest value, > 0.
        alpha: tail index, > 0.

    Shape: scale and alpha broadcast to the batch shape; scalar events.

    Gradient: explicit; dz/dscale = z / scale, dz/dalpha = -z log(z / scale) / alpha; unbiased for an f that is
    zero at the edge of the support or does not jump there. Double backward and forward mode work.

    Source: devroye1986.

    Example:
        >>> Pareto(torch.tensor(1.0), torch.tensor(2.0)).survival(torch.tensor(10.0))
        tensor(0.0100)
    """

    base_law = "exponential"
    law = laws.EXPONENTIAL
    arg_constraints: ClassVar[dict] = {"scale": constraints.positive, "alpha": constraints.positive}

    def push(self, eps: Tensor) -> Tensor:
        """Return scale exp(eps / alpha)."""
        return self.scale * torch.exp(eps / self.alpha)

    def pull(self, x: Tensor) -> Tensor:
        """Return alpha log(x / scale)."""
        return self.alpha * log_quotient(x, self.scale)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log(alpha / x)."""
        return torch.log(self.alpha / x)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dscale = x / scale and dz/dalpha = -x log(x / scale) / alpha."""
        return {"scale": x / self.scale, "alpha": -x * log_quotient(x, self.scale) / self.alpha}


class GeneralizedPareto(OfNoise, torch.distributions.GeneralizedPareto):
    """Generalized Pareto law, S(x) = (1 + c y)^(-1/c), y = (x - loc) / scale, c = concentration.

        z = loc + scale (e^(c eps) - 1) / c,  eps ~ Exponential(1)

    c = 0 is the exponential law, and the map is smooth there. For c < 0 the support ends at loc - scale / c.

    Args:
        loc: smallest value, real.
        scale: > 0.
        concentration: c, real.

    Shape: the parameters broadcast to the batch shape; scalar events.

    Gradient: explicit; dz/dloc = 1, dz/dscale = y, dz/dc = scale (eps (1 + c y) - y) / c (limit scale eps^2 / 2);
    unbiased for an f that does not jump at the edge of the support. Double backward and forward mode work.

    Source: devroye1986.

    Example:
        >>> q = GeneralizedPareto(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(0.0))
        >>> q.log_prob(torch.tensor(2.0))
        tensor(-2.)
    """

    law = laws.EXPONENTIAL
    map = PARETO

    def pull(self, x: Tensor) -> Tensor:
        """Return log(1 + c y) / c, y = (x - loc) / scale."""
        y = (x - self.loc) / self.scale
        return y * logrel((self.concentration * y).clamp(min=-1))

    def log_slope(self, x: Tensor) -> Tensor:
        """Return -log scale - log(1 + c y)."""
        y = (x - self.loc) / self.scale
        return -torch.log(self.scale) - torch.log1p(self.concentration * y)

    def log_density(self, x: Tensor) -> Tensor:
        """Return -log scale - (1 + 1/c) log(1 + c y), with its limits at the upper end and -inf outside."""
        y, c = (x - self.loc) / self.scale, self.concentration
        inside = (y >= 0) & (c * y > -1)
        t = torch.where(inside, c * y, 0.0)
        value = -torch.log(self.scale) - torch.log1p(t) - torch.where(inside, y, 0.0) * logrel(t)
        edge = torch.where(c < -1, torch.inf, torch.where(c == -1, -torch.log(self.scale), -torch.inf))
        return torch.where(inside, value, torch.where(c * y == -1, edge, -torch.inf))
