"""The standard laws behind the explicit families: density, both tails, both quantiles.

Letters: F the distribution function, S = 1 - F the survival function, Q = F^{-1}, and `upper` = S^{-1}. Both tails
keep their relative precision: S is never computed as 1 - F, nor a quantile near 1 from a rounded 1 - q.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reparam.special.logarithms import one_less_exp, sigmoid

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Law:
    """A law on the line: log density in nats, F, S, Q = F^{-1} and S^{-1}."""

    log_density: Map
    cdf: Map
    survival: Map
    quantile: Map
    upper: Map


def symmetric(log_density: Map, cdf: Map, quantile: Map) -> Law:
    """Return the law of a density that is even: S(x) = F(-x), S^{-1}(q) = -Q(q)."""
    return Law(log_density, cdf, lambda x: cdf(-x), quantile, lambda q: -quantile(q))


def half(law: Law) -> Law:
    """Return the law of |x| for x from a symmetric law: density 2 p, S = 2 S."""

    def log_density(x: Tensor) -> Tensor:
        return torch.where(x >= 0, law.log_density(x) + math.log(2), -math.inf)

    return Law(
        log_density,
        lambda x: 1 - 2 * law.survival(x.clamp(min=0)),
        lambda x: 2 * law.survival(x.clamp(min=0)),
        lambda u: law.upper((1 - u) / 2),
        lambda q: law.upper(q / 2),
    )


def normal_log_density(x: Tensor) -> Tensor:
    """Return -x^2 / 2 - log(2 pi) / 2."""
    return -0.5 * x * x - 0.5 * math.log(2 * math.pi)


def normal_cdf(x: Tensor) -> Tensor:
    """Return Phi(x) = erfc(-x / sqrt 2) / 2; torch.special.ndtr loses the tail below -5, where it is 1 - (1 - p)."""
    return 0.5 * torch.erfc(-x / math.sqrt(2))


def cauchy_cdf(x: Tensor) -> Tensor:
    """Return F(x) = atan2(1, -x) / pi."""
    return torch.atan2(torch.ones_like(x), -x) / math.pi


def cauchy_quantile(u: Tensor) -> Tensor:
    """Return tan(pi (u - 1/2)), as -1 / tan(pi u) in the lower tail."""
    tail = u < 0.25
    low = -1 / torch.tan(math.pi * torch.where(tail, u, 0.25))
    return torch.where(tail, low, torch.tan(math.pi * (torch.where(tail, 0.25, u) - 0.5)))


def laplace_cdf(x: Tensor) -> Tensor:
    """Return e^x / 2 below 0, 1 - e^-x / 2 above."""
    low = x < 0
    tail = 0.5 * torch.exp(torch.where(low, x, -x))  # abs has no slope at the median, where F has one
    return torch.where(low, tail, 1 - tail)


def laplace_quantile(u: Tensor) -> Tensor:
    """Return log(2 u) below the median, -log(2 (1 - u)) above."""
    low = u < 0.5
    return torch.where(
        low, torch.log(2 * torch.where(low, u, 0.5)), -torch.log(2 - 2 * torch.where(low, 0.5, u))
    )


def half_normal_cdf(x: Tensor) -> Tensor:
    """Return erf(x / sqrt 2)."""
    return torch.erf(x.clamp(min=0) / math.sqrt(2))


def half_cauchy_cdf(x: Tensor) -> Tensor:
    """Return 2 atan(x) / pi."""
    return 2 / math.pi * torch.atan(x.clamp(min=0))


NORMAL = symmetric(normal_log_density, normal_cdf, torch.special.ndtri)
LOGISTIC = symmetric(lambda x: logsigmoid(x) + logsigmoid(-x), sigmoid, torch.logit)
LAPLACE = symmetric(lambda x: -x.abs() - math.log(2), laplace_cdf, laplace_quantile)
CAUCHY = symmetric(lambda x: -torch.log1p(x * x) - math.log(math.pi), cauchy_cdf, cauchy_quantile)
UNIFORM = Law(
    lambda x: torch.where((x >= 0) & (x <= 1), torch.zeros_like(x), -math.inf),
    lambda x: x.clamp(0, 1),
    lambda x: (1 - x).clamp(0, 1),
    lambda u: u,
    lambda q: 1 - q,
)
EXPONENTIAL = Law(
    lambda x: torch.where(x >= 0, -x, -math.inf),
    lambda x: one_less_exp(-x.clamp(min=0)),
    lambda x: torch.exp(-x.clamp(min=0)),
    lambda u: -torch.log1p(-u),
    lambda q: -torch.log(q),
)
GUMBEL = Law(
    lambda x: -x - torch.exp(-x),
    lambda x: torch.exp(-torch.exp(-x)),
    lambda x: one_less_exp(-torch.exp(-x)),
    lambda u: -torch.log(-torch.log(u)),
    lambda q: -torch.log(-torch.log1p(-q)),
)
HALF_NORMAL = Law(
    half(NORMAL).log_density,
    half_normal_cdf,
    half(NORMAL).survival,
    lambda u: math.sqrt(2) * torch.erfinv(u),
    half(NORMAL).upper,
)
HALF_CAUCHY = Law(
    half(CAUCHY).log_density,
    half_cauchy_cdf,
    half(CAUCHY).survival,
    lambda u: torch.tan(math.pi / 2 * u),
    half(CAUCHY).upper,
)
