"""Distributions of random layers: torch's families as maps of noise, with gradients that are checked."""

import torch as _torch

from reparam.distributions.base import Distribution
from reparam.distributions.bernoulli import Bernoulli
from reparam.distributions.beta import Beta, FisherSnedecor
from reparam.distributions.convert import (
    convert,
    detach,
    draw,
    register,
    register_family,
    register_with_logits,
)
from reparam.distributions.gamma import Chi2, ExpGamma, Gamma, InverseGamma
from reparam.distributions.interval import ContinuousBernoulli, Kumaraswamy, Uniform
from reparam.distributions.location_scale import Cauchy, Gumbel, Laplace, Logistic
from reparam.distributions.normal import LogNormal, Normal
from reparam.distributions.pareto import GeneralizedPareto, Pareto
from reparam.distributions.positive import Exponential, HalfCauchy, HalfNormal, Weibull
from reparam.distributions.student import StudentT
from reparam.distributions.truncated import Truncated
from reparam.distributions.truncated_normal import TruncatedNormal
from reparam.distributions.von_mises import VonMises
from reparam.distributions.wrappers import Independent, TransformedDistribution

for _ours in (
    Beta,
    Chi2,
    FisherSnedecor,
    Gamma,
    InverseGamma,
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
    StudentT,
    Uniform,
    VonMises,
    Weibull,
):
    register_family(getattr(_torch.distributions, _ours.__name__), _ours)
register_with_logits(_torch.distributions.Bernoulli, Bernoulli)
register_with_logits(_torch.distributions.ContinuousBernoulli, ContinuousBernoulli)

__all__ = [
    "Bernoulli",
    "Beta",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Distribution",
    "ExpGamma",
    "Exponential",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "Normal",
    "Pareto",
    "StudentT",
    "TransformedDistribution",
    "Truncated",
    "TruncatedNormal",
    "Uniform",
    "VonMises",
    "Weibull",
    "convert",
    "detach",
    "draw",
    "register",
]
