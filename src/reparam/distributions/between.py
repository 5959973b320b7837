"""The probability of an interval, P(l < x <= h) = F(h) - F(l) = int_l^h q, to full relative precision.

The difference of two tails has lost digits where it is much smaller than they are: next to the bound of a truncated
law, at the fold of |x|. There the density is integrated by Gauss's rule, and believed where a coarser rule agrees to
1e-13; a kink or a pole inside keeps the difference. Both are differentiable in the ends and in every parameter.
"""

import numpy as np
import torch
from torch import Tensor

from reparam.distributions.explicit import Univariate, interior

# nodes and weights of Gauss's rule on [-1, 1], as numbers, which a tracer of graphs takes as they are
COARSE, FINE = (tuple(zip(*(v.tolist() for v in np.polynomial.legendre.leggauss(n)))) for n in (8, 11))
AGREE, SMALLER = 1e-13, 0.5


def between(base: Univariate, low: Tensor, high: Tensor) -> Tensor:
    """Return the probability of (low, high] under a law; 0 where low >= high. The ends may be infinite.

    Example:
        >>> from reparam.distributions import Exponential
        >>> x = torch.tensor([40.0, 40.0 + 1e-6], dtype=torch.float64)
        >>> between(Exponential(torch.ones((), dtype=torch.float64)), *x)
        tensor(4.2484e-24, dtype=torch.float64)
    """
    below, above = base.masses(low), base.masses(high)
    upper = below[0] + above[0] > 1
    larger = torch.where(upper, below[1], above[0])
    mass = larger - torch.where(upper, above[1], below[0])
    near = (high > low) & (mass < SMALLER * larger) & torch.isfinite(low) & torch.isfinite(high)
    rough, sum_ = (_integral(base, low, high, near, rule) for rule in (COARSE, FINE))
    agreed = near & ((rough - sum_).abs() <= AGREE * sum_) & (sum_ > 0)
    return torch.where(high > low, torch.where(agreed, sum_, mass), 0.0)


def _integral(
    base: Univariate, low: Tensor, high: Tensor, near: Tensor, rule: tuple[tuple[float, float], ...]
) -> Tensor:
    """Return int q from low to high by a rule on [-1, 1], where `near`; elsewhere 0."""
    support = base.support
    inside = interior(
        getattr(support, "lower_bound", -torch.inf), getattr(support, "upper_bound", torch.inf), low
    )
    start, width = torch.where(near, low, inside), torch.where(near, high, 0.0) - torch.where(near, low, 0.0)
    total = torch.zeros_like(width)
    for node, weight in rule:
        point = start + width * ((1 + node) / 2)
        total = total + weight / 2 * torch.exp(base.log_density_anywhere(point))
    return width * total
