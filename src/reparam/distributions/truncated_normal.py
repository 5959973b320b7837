"""The truncated normal family, in partial moments of the normal law about the point or the mode: no tail is too far.

With the distances to the bounds taken first, (x - low)/scale and (high - x)/scale, nothing is lost next to a bound.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.utils import broadcast_all

from reparam.distributions.explicit import Univariate, interior
from reparam.special.logarithms import sigmoid
from reparam.transforms.gaussian_tail import falling_moments, partial_moments
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

    Source: figurnov2018.

    Example:
        >>> import reparam as rp
        >>> q = TruncatedNormal(0.0, 1.0, 9.0, 11.0)
        >>> bool((q.rsample((100,), noise=rp.Noise(0)) >= 9).all())
        True
    """

    rule = "explicit"
    base_law = "logistic"
    whole = ("push", "log_density", "cdf_formula", "survival_formula", "icdf_formula", "isf_formula")
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
        """Return the derivatives in loc, scale, low and high at fixed u, where z = x.

        With the means r_k of |T - y|^k above y and l_k below it, and G = F S/q:
        dz/dloc = G (r_1 + l_1), dz/dscale = G (2 y (r_1 + l_1) + r_2 - l_2), a sum of positive numbers and one where
        the derivative itself crosses zero; dz/dlow = S phi(a)/phi(y), dz/dhigh = F phi(b)/phi(y).
        """
        wide = self._as(torch.float64)
        y = (x.double() - wide.loc) / wide.scale
        h, R0, R1, R2, up = partial_moments(y, _width(x.double(), wide.high, wide.scale))
        k, L0, L1, L2, down = partial_moments(-y, _width(wide.low, x.double(), wide.scale))
        total = L0 * torch.exp(-h) + R0 * torch.exp(-k)  # G = L0 R0/total, also where x is a bound
        loc = (L0 * R1 + R0 * L1) / total
        scale = 2 * y * loc + (L0 * R2 - R0 * L2) / total
        slopes = {"loc": loc, "scale": scale, "low": down * R0 / total, "high": up * L0 / total}
        return {name: slope.to(torch.result_type(self.loc, x)) for name, slope in slopes.items()}

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats, computed in float64; -inf outside the bounds."""
        return self._in_double(lambda q, x: q.log_density(x), value, sample=True)

    def log_density(self, x: Tensor) -> Tensor:
        """Return -(y - c)(y + c)/2 - log(R_0 + L_0) - log scale, c the standardised mode."""
        mode, c, right, left = self._about_mode()
        inside = (x >= self.low) & (x <= self.high)
        apart = (torch.where(inside, x, mode) - mode) / self.scale
        value = -apart * (apart / 2 + c) - torch.log(right[0] + left[0]) - torch.log(self.scale)
        return torch.where(inside, value, -torch.inf)

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return (Phi(y) - Phi(a)) / (Phi(b) - Phi(a))."""
        return self._shares(x)[0]

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return (Phi(b) - Phi(y)) / (Phi(b) - Phi(a))."""
        return self._shares(x)[1]

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return the quantile at u."""
        return self._polished(self.push(torch.logit(u)), u, 0)

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return the quantile at 1 - q."""
        return self._polished(self.push(-torch.logit(q)), q, 1)

    def _polished(self, x: Tensor, p: Tensor, side: int) -> Tensor:
        """Return x after one Newton step on F = p (side 0) or S = p: next to a bound, the distance from it is exact."""
        gap = (self._shares(x)[side] - p) / torch.exp(self.log_density(x))
        step = torch.where(torch.isfinite(gap), gap if side else -gap, 0.0).detach()
        return torch.minimum(torch.maximum(x + step, self.low), self.high)

    @property
    def mode(self) -> Tensor:
        """The mode: loc, or the bound next to it."""
        below, above = self.loc < self.low, self.loc > self.high
        return torch.where(below, self.low, torch.where(above, self.high, self.loc))

    @property
    def mean(self) -> Tensor:
        """The mean, mode + scale m_1, with the moments m_k about the mode."""
        wide = self._as(torch.float64)
        return (wide.mode + wide.scale * wide._moments()[0]).to(self.loc.dtype)

    @property
    def variance(self) -> Tensor:
        """The variance, scale^2 (m_2 - m_1^2)."""
        wide = self._as(torch.float64)
        m1, m2 = wide._moments()
        return (wide.scale**2 * (m2 - m1 * m1)).to(self.loc.dtype)

    def entropy(self) -> Tensor:
        """Return the entropy in nats: log scale + log(R_0 + L_0) + c m_1 + m_2/2, c the standardised mode."""
        wide = self._as(torch.float64)
        _, c, right, left = wide._about_mode()
        m1, m2 = wide._moments()
        value = torch.log(wide.scale) + torch.log(right[0] + left[0]) + c * m1 + m2 / 2
        return value.to(self.loc.dtype)

    def _about_mode(self) -> tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the mode, c = (mode - loc)/scale, and int s^k phi(c +- s)/phi(c) ds to the bound above and below."""
        mode = self.mode
        c = (mode - self.loc) / self.scale
        right = falling_moments(c.clamp(min=0), _width(mode, self.high, self.scale))
        left = falling_moments((-c).clamp(min=0), _width(self.low, mode, self.scale))
        return mode, c, right, left

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Return the first two moments about the mode, in units of scale."""
        _, _, right, left = self._about_mode()
        total = right[0] + left[0]
        return (right[1] - left[1]) / total, (right[2] + left[2]) / total

    def _shares(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return F and S = 1 - F, the logistic of log(F/q) - log(S/q) and of its negative."""
        inside = (x > self.low) & (x < self.high)
        safe = torch.where(inside, x, interior(self.low, self.high, x))
        y = (safe - self.loc) / self.scale
        h, R0, *_ = partial_moments(y, _width(safe, self.high, self.scale))
        k, L0, *_ = partial_moments(-y, _width(self.low, safe, self.scale))
        odds = (k + torch.log(L0)) - (h + torch.log(R0))
        above = (x >= self.high).to(x.dtype)
        return (
            torch.where(inside, sigmoid(odds), above),
            torch.where(inside, sigmoid(-odds), 1 - above),
        )


def _width(start: Tensor, end: Tensor, scale: Tensor) -> Tensor:
    """Return (end - start)/scale, infinite without a derivative where an end is."""
    finite = torch.isfinite(start) & torch.isfinite(end)
    apart = torch.where(finite, end, 0.0) - torch.where(finite, start, 0.0)
    return torch.where(finite, (apart / scale).clamp(min=0), torch.inf)
