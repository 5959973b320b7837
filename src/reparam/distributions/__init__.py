"""Distributions of random layers: torch's families as maps of noise, with gradients that are checked."""

import torch as _torch

from reparam.distributions.base import Distribution
from reparam.distributions.bernoulli import Bernoulli
from reparam.distributions.categorical import Categorical, OneHotCategorical
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
from reparam.distributions.multivariate_normal import MATRICES as _MATRICES
from reparam.distributions.multivariate_normal import (
    LogisticNormal,
    LowRankMultivariateNormal,
    MultivariateNormal,
)
from reparam.distributions.normal import LogNormal, Normal
from reparam.distributions.pareto import GeneralizedPareto, Pareto
from reparam.distributions.positive import Exponential, HalfCauchy, HalfNormal, Weibull
from reparam.distributions.relaxed import RelaxedBernoulli, RelaxedOneHotCategorical
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
for _vector in (LogisticNormal, LowRankMultivariateNormal):
    register_family(getattr(_torch.distributions, _vector.__name__), _vector)
register_with_one_of(_torch.distributions.MultivariateNormal, MultivariateNormal, _MATRICES)
for _weighted in (Bernoulli, Categorical, ContinuousBernoulli):
    register_with_logits(getattr(_torch.distributions, _weighted.__name__), _weighted)
register(
    _torch.distributions.OneHotCategorical,
    lambda q: OneHotCategorical(
        **{"probs" if q._categorical.__dict__.get("probs") is q._param else "logits": q._param},
        validate_args=q._validate_args,
    ),
)
register(
    _torch.distributions.RelaxedBernoulli,
    lambda q: RelaxedBernoulli(
        q.temperature,
        **{
            "probs"
            if q.base_dist.__dict__.get("probs") is q.base_dist._param
            else "logits": q.base_dist._param
        },
        validate_args=q._validate_args,
    ),
)
register(
    _torch.distributions.RelaxedOneHotCategorical,
    lambda q: RelaxedOneHotCategorical(q.temperature, logits=q.logits, validate_args=q._validate_args),
)

__all__ = [
    "Bernoulli",
    "Categorical",
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
    "OneHotCategorical",
    "Pareto",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "TransformedDistribution",
    "Uniform",
    "Weibull",
    "convert",
    "detach",
    "draw",
    "register",
]
