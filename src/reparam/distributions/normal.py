"""The normal family and its exponential: z = loc + scale eps, and exp of it."""

import torch
from torch import Tensor
from torch.distributions import constraints

from reparam.distributions import laws
from reparam.distributions.explicit import Explicit
from reparam.distributions.location_scale import LocationScale


class Normal(LocationScale, torch.distributions.Normal):
    """Normal law N(loc, scale^2); `scale` is the standard deviation.

        z = loc + scale eps,  eps ~ N(0, 1)

    Args:
        loc: mean, real.
        scale: standard deviation, > 0.

    Shape: loc and scale broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dloc = 1, dz/dscale = (z - loc) / scale. Double backward and forward mode work.

    Source: devroye1986.

    Example:
        >>> import reparam as rp
        >>> q = rp.distributions.Normal(torch.tensor(1.0), torch.tensor(0.5))
        >>> q.rsample((2,), noise=rp.Noise(0)).shape
        torch.Size([2])
    """

    base_law = "normal"
    law = laws.NORMAL


class LogNormal(Explicit, torch.distributions.LogNormal):
    """Log-normal law: log z ~ N(loc, scale^2).

        z = exp(loc + scale eps),  eps ~ N(0, 1)

    Args:
        loc: mean of log z, real.
        scale: standard deviation of log z, > 0.

    Shape: loc and scale broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dloc = z, dz/dscale = z (log z - loc) / scale. Double backward and forward mode
    work. A draw below half the smallest float is 0, which the support holds.

    Source: devroye1986.

    Example:
        >>> q = LogNormal(torch.tensor(0.0), torch.tensor(1.0))
        >>> q.cdf(torch.tensor(1.0))
        tensor(0.5000)
    """

    support = constraints.nonnegative  # type: ignore[assignment]
    base_law = "normal"
    law = laws.NORMAL

    def push(self, eps: Tensor) -> Tensor:
        """Return exp(loc + scale eps)."""
        return torch.exp(self.loc + self.scale * eps)

    def pull(self, x: Tensor) -> Tensor:
        """Return (log x - loc) / scale."""
        return (torch.log(x) - self.loc) / self.scale

    def log_slope(self, x: Tensor) -> Tensor:
        """Return -log x - log scale."""
        return -torch.log(x) - torch.log(self.scale)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log phi((log x - loc) / scale) - log x - log scale; -inf at 0."""
        inside = x > 0
        return torch.where(inside, super().log_density(torch.where(inside, x, 1.0)), -torch.inf)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dloc = x and dz/dscale = x (log x - loc) / scale; 0 at 0."""
        slope = torch.where(x > 0, x * self.pull(torch.where(x > 0, x, 1.0)), 0.0)
        return {"loc": x + torch.zeros_like(self.loc), "scale": slope}
