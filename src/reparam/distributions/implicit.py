"""What the implicit one-dimensional families share: a monotone quantile of a normal eps on an unbounded coordinate y.

    F_y(y; theta) = Phi(eps),   z = T(y),   dz/dtheta = -(F_theta / q)(z)

`reparam.special` gives y(eps; theta), both tails and the velocity dy/dtheta, each differentiable twice in every
mode. The coordinate is log z or logit z, so that small shapes do not underflow before the last step.
"""

from typing import ClassVar

import torch
from torch import Tensor

from reparam.distributions.base import result_dtype
from reparam.distributions.explicit import Univariate


class Implicit(Univariate):
    """An implicit family: `push` is the quantile at Phi(eps); log densities are computed in float64, rounded once."""

    rule = "implicit"
    base_law = "normal"
    whole: ClassVar[tuple[str, ...]] = ("log_density", "cdf_formula", "survival_formula")
    ends: ClassVar[tuple[float, ...]] = ()  # finite ends of the support

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats, computed in float64."""
        return self._in_double(lambda q, x: q.log_density(x), value, sample=True)

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return the quantile at u."""
        return self.push(torch.special.ndtri(u))

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return the quantile at 1 - q."""
        return self.push(-torch.special.ndtri(q))

    def at_score(self, eps: Tensor) -> Tensor:
        """Return the quantile at Phi(eps): `push` itself."""
        return self.push(eps)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dphi at fixed noise, where z = x; computed in float64 and rounded once.

        At a finite end of the support, to which draws round, it is the limit there: 0, for the end does not move.
        """
        wide, point = self._as(torch.float64), x.double()
        ends = [point == end for end in self.ends]
        slopes = wide.velocity(point)
        for end in ends:
            slopes = {name: torch.where(end, 0.0, slope) for name, slope in slopes.items()}
        return {name: slope.to(result_dtype(self.parameters()[name], x)) for name, slope in slopes.items()}

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return the pathwise derivatives in the dtype of x."""
        raise TypeError(f"{type(self).__name__}.pathwise: this family gives no velocity")


def tail_probabilities(
    inside: Tensor, above: Tensor, log_tails: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return (F, S) from their logarithms inside the support, and their constants on either side of it."""
    lower = torch.where(inside, log_tails[0], torch.where(above, 0.0, -torch.inf))
    upper = torch.where(inside, log_tails[1], torch.where(above, -torch.inf, 0.0))
    return torch.exp(lower), torch.exp(upper)
