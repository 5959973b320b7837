"""The truncated normal family, in logarithms of probabilities, so that no tail is too far."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.utils import broadcast_all

from reparam.distributions.explicit import Univariate
from reparam.transforms.gaussian_tail import log_density, log_mass
from reparam.transforms.truncated_normal import truncated_normal_quantile


class TruncatedNormal(Univariate):
    """Normal law N(loc, scale^2) given low <= z <= high.

        z = loc + scale Phi^{-1}((1 - u) Phi(a) + u Phi(b)),  u = sigmoid(eps), eps ~ Logistic(0, 1)
        a = (low - loc) / scale,  b = (high - loc) / scale

    Computed in double in the nearer tail, relative to the nearer bound, and rounded once: bounds at 35 and 37 scales
    are as good as bounds at -1 and 1. Either bound may be infinite.

    Args:
        loc: mean of the normal law before truncation, real.
        scale: its standard deviation, > 0.
        low: lower bound, or -inf.
        high: upper bound, > low, or inf.

    Shape: the four broadcast to the batch shape; scalar events.

    Gradient: explicit (inverse transform); with y = (z - loc) / scale, dz/dlow = (1 - u) e^((y^2 - a^2) / 2),
    dz/dhigh = u e^((y^2 - b^2) / 2), dz/dloc = 1 - dz/dlow - dz/dhigh, dz/dscale = y - a dz/dlow - b dz/dhigh;
    unbiased for f continuous at the bounds. Forward mode and second derivatives work.

    Example:
        >>> import reparam as rp
        >>> q = TruncatedNormal(0.0, 1.0, 9.0, 11.0)
        >>> bool((q.rsample((100,), noise=rp.Noise(0)) >= 9).all())
        True
    """

    rule = "explicit"
    base_law = "logistic"
    arg_constraints: ClassVar = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "low": constraints.dependent,
        "high": constraints.dependent,
    }

    def __init__(self, loc: Any, scale: Any, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.low, self.high = broadcast_all(loc, scale, low, high)
        super().__init__(self.loc.shape, validate_args=validate_args)
        if self._validate_args and not bool((self.low < self.high).all()):
            raise ValueError(
                f"TruncatedNormal: low must be < high; got low={self.low}, high={self.high}; exchange the bounds"
            )

    def expand(self, batch_shape: Any, _instance: Any = None) -> "TruncatedNormal":
        """Return the distribution with a larger batch shape."""
        grown = {name: value.expand(batch_shape) for name, value in self.parameters().items()}
        new = type(self)(**grown, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The interval [low, high]."""
        return constraints.interval(self.low, self.high)

    def push(self, eps: Tensor) -> Tensor:
        """Return the quantile of the truncated law at u = sigmoid(eps)."""
        return truncated_normal_quantile(eps, self.loc, self.scale, self.low, self.high)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return the derivatives in loc, scale, low and high at fixed u, where z = x."""
        wide = self._as(torch.float64)
        (a, b), y = wide._bounds(), wide._standard(x.double())
        mass = log_mass(a, b)

        def edge(end: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
            finite = torch.isfinite(end)
            safe = torch.where(finite, end, 0.0)
            slope = torch.where(finite, torch.exp(share - mass + (y - safe) * (y + safe) / 2), 0.0)
            return slope, safe * slope

        (low, a_low), (high, b_high) = edge(a, log_mass(y, b)), edge(b, log_mass(a, y))
        slopes = {"loc": 1 - low - high, "scale": y - a_low - b_high, "low": low, "high": high}
        return {name: slope.to(torch.result_type(self.loc, x)) for name, slope in slopes.items()}

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats, computed in float64; -inf outside the bounds."""
        return self._in_double(lambda q, x: q.log_density(x), value, sample=True)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log phi(y) - log scale - log(Phi(b) - Phi(a))."""
        value = log_density(self._standard(x)) - torch.log(self.scale) - log_mass(*self._bounds())
        return torch.where((x >= self.low) & (x <= self.high), value, -torch.inf)

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return (Phi(y) - Phi(a)) / (Phi(b) - Phi(a))."""
        a, b = self._bounds()
        return _share(x, self.low, self.high, log_mass(a, self._standard(x)) - log_mass(a, b))

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return (Phi(b) - Phi(y)) / (Phi(b) - Phi(a))."""
        a, b = self._bounds()
        return _share(-x, -self.high, -self.low, log_mass(self._standard(x), b) - log_mass(a, b))

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return the quantile at u."""
        return self.push(torch.logit(u))

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return the quantile at 1 - q."""
        return self.push(-torch.logit(q))

    @property
    def mean(self) -> Tensor:
        """The mean, loc + scale (phi(a) - phi(b)) / (Phi(b) - Phi(a))."""
        wide = self._as(torch.float64)
        return (wide.loc + wide.scale * wide._edges(0)).to(self.loc.dtype)

    @property
    def variance(self) -> Tensor:
        """The variance, scale^2 (1 + (a phi(a) - b phi(b)) / M - ((phi(a) - phi(b)) / M)^2)."""
        wide = self._as(torch.float64)
        return (wide.scale**2 * (1 + wide._edges(1) - wide._edges(0) ** 2)).to(self.loc.dtype)

    def entropy(self) -> Tensor:
        """Return the entropy in nats: log(scale M) + log(2 pi) / 2 + (1 + (a phi(a) - b phi(b)) / M) / 2."""
        wide = self._as(torch.float64)
        peak = -log_density(torch.zeros_like(wide.loc))
        value = log_mass(*wide._bounds()) + torch.log(wide.scale) + peak + (1 + wide._edges(1)) / 2
        return value.to(self.loc.dtype)

    def _bounds(self) -> tuple[Tensor, Tensor]:
        return self._standard(self.low), self._standard(self.high)

    def _standard(self, x: Tensor) -> Tensor:
        finite = torch.isfinite(x)  # an infinite bound has no derivative in loc and scale
        return torch.where(finite, (torch.where(finite, x, 0.0) - self.loc) / self.scale, x)

    def _edges(self, power: int) -> Tensor:
        """Return (a^power phi(a) - b^power phi(b)) / (Phi(b) - Phi(a))."""
        a, b = self._bounds()
        mass = log_mass(a, b)

        def term(end: Tensor) -> Tensor:
            finite = torch.isfinite(end)
            safe = torch.where(finite, end, 0.0)
            return torch.where(finite, safe**power * torch.exp(log_density(safe) - mass), 0.0)

        return term(a) - term(b)


def _share(x: Tensor, low: Tensor, high: Tensor, log_share: Tensor) -> Tensor:
    """Return e^log_share inside (low, high), 0 below and 1 above."""
    inside = (x > low) & (x < high)
    return torch.where(inside, torch.exp(torch.where(inside, log_share, 0.0)), (x >= high).to(x.dtype))
