"""Distributions of random layers: torch's families as maps of noise, with gradients that are checked."""

import torch as _torch

from reparam.distributions.base import Distribution
from reparam.distributions.bernoulli import Bernoulli
from reparam.distributions.convert import (
    convert,
    detach,
    draw,
    register,
    register_family,
    register_with_logits,
    register_with_one_of,
)
from reparam.distributions.interval import ContinuousBernoulli, Kumaraswamy, Uniform
from reparam.distributions.location_scale import Cauchy, Gumbel, Laplace, Logistic
from reparam.distributions.multivariate_normal import (
    MATRICES as _MATRICES,
)
from reparam.distributions.multivariate_normal import (
    LogisticNormal,
    LowRankMultivariateNormal,
    MultivariateNormal,
)
from reparam.distributions.normal import LogNormal, Normal
from reparam.distributions.pareto import GeneralizedPareto, Pareto
from reparam.distributions.positive import Exponential, HalfCauchy, HalfNormal, Weibull
from reparam.distributions.wrappers import Independent, TransformedDistribution

for _ours in (
    Cauchy,
    Exponential,
    GeneralizedPareto,
    Gumbel,
    HalfCauchy,
    HalfNormal,
    Kumaraswamy,
    Laplace,
    LogNormal,
    Normal,
    Pareto,
    Uniform,
    Weibull,
):
    register_family(getattr(_torch.distributions, _ours.__name__), _ours)
for _ours in (LogisticNormal, LowRankMultivariateNormal):
    register_family(getattr(_torch.distributions, _ours.__name__), _ours)
register_with_one_of(_torch.distributions.MultivariateNormal, MultivariateNormal, _MATRICES)
register_with_logits(_torch.distributions.Bernoulli, Bernoulli)
register_with_logits(_torch.distributions.ContinuousBernoulli, ContinuousBernoulli)

__all__ = [
    "Bernoulli",
    "Cauchy",
    "ContinuousBernoulli",
    "Distribution",
    "Exponential",
    "GeneralizedPareto",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "MultivariateNormal",
    "Normal",
    "Pareto",
    "TransformedDistribution",
    "Uniform",
    "Weibull",
    "convert",
    "detach",
    "draw",
    "register",
]
