"""Distributions of random layers: torch's families as maps of noise, with gradients that are checked."""

import torch as _torch

from reparam.distributions.base import Distribution
from reparam.distributions.bernoulli import Bernoulli
from reparam.distributions.beta import Beta, FisherSnedecor
from reparam.distributions.categorical import Categorical, OneHotCategorical
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
from reparam.distributions.relaxed import RelaxedBernoulli, RelaxedOneHotCategorical
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

register_with_logits(_torch.distributions.Categorical, Categorical)
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
    "Beta",
    "Categorical",
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
    "OneHotCategorical",
    "Pareto",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
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
