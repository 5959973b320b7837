"""The normal family: z = loc + scale eps."""

import torch
from torch import Tensor

from reparam.distributions.base import Distribution


class Normal(Distribution, torch.distributions.Normal):
    """Normal law N(loc, scale^2); `scale` is the standard deviation.

        z = loc + scale eps,  eps ~ N(0, 1)

    Args:
        loc: mean, real.
        scale: standard deviation, > 0.

    Shape: loc and scale broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/dloc = 1, dz/dscale = (z - loc) / scale. Double backward and forward mode work.

    Example:
        >>> import reparam as rp
        >>> q = rp.distributions.Normal(torch.tensor(1.0), torch.tensor(0.5))
        >>> q.rsample((2,), noise=rp.Noise(0)).shape
        torch.Size([2])
    """

    rule = "explicit"
    base_law = "normal"

    def push(self, eps: Tensor) -> Tensor:
        """Return loc + scale eps."""
        return self.loc + self.scale * eps

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dloc = 1 and dz/dscale = (x - loc) / scale."""
        slope = (x - self.loc) / self.scale
        return {"loc": torch.ones_like(slope), "scale": slope}

    def cdf(self, value: Tensor) -> Tensor:
        """Return Phi((x - loc) / scale), accurate in the lower tail too."""
        if self._validate_args:
            self._validate_sample(value)
        return torch.special.ndtr((value - self.loc) / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        """Return loc + scale Phi^{-1}(u)."""
        return self.loc + self.scale * torch.special.ndtri(value)
