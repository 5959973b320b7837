"""Distributions of random layers: torch's families as maps of noise, with gradients that are checked."""

import torch as _torch

from reparam.distributions import divergences as _divergences  # noqa: F401  (registers them)
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
    register_with_one_of,
)
from reparam.distributions.counts import Binomial, Geometric, NegativeBinomial, Poisson
from reparam.distributions.dirichlet import Dirichlet
from reparam.distributions.discretized import DiscretizedLogistic, DiscretizedLogisticMixture
from reparam.distributions.gamma import Chi2, ExpGamma, Gamma, InverseGamma
from reparam.distributions.heterogeneous import Mixture
from reparam.distributions.interval import ContinuousBernoulli, Kumaraswamy, Uniform
from reparam.distributions.inverse_gaussian import InverseGaussian
from reparam.distributions.location_scale import Cauchy, Gumbel, Laplace, Logistic
from reparam.distributions.mixture import MixtureSameFamily
from reparam.distributions.multivariate_normal import MATRICES as _MATRICES
from reparam.distributions.multivariate_normal import (
    LogisticNormal,
    LowRankMultivariateNormal,
    MultivariateNormal,
)
from reparam.distributions.normal import LogNormal, Normal
from reparam.distributions.pareto import GeneralizedPareto, Pareto
from reparam.distributions.positive import Exponential, HalfCauchy, HalfNormal, Weibull
from reparam.distributions.pushforward import Folded, Pushforward
from reparam.distributions.relaxed import RelaxedBernoulli, RelaxedOneHotCategorical
from reparam.distributions.spherical import PowerSpherical, VonMisesFisher
from reparam.distributions.student import StudentT
from reparam.distributions.truncated import Truncated
from reparam.distributions.truncated_normal import TruncatedNormal
from reparam.distributions.von_mises import VonMises
from reparam.distributions.wishart import LKJCholesky, Wishart
from reparam.distributions.wrappers import Independent, TransformedDistribution
from reparam.distributions.zero_inflated import ZeroInflated

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
for _vector in (Dirichlet, LogisticNormal, LowRankMultivariateNormal):
    register_family(getattr(_torch.distributions, _vector.__name__), _vector)
register(
    _torch.distributions.MixtureSameFamily,
    lambda q: MixtureSameFamily(q.mixture_distribution, q.component_distribution, q._validate_args),
)
register_with_one_of(_torch.distributions.MultivariateNormal, MultivariateNormal, _MATRICES)
register_with_one_of(_torch.distributions.Wishart, Wishart, _MATRICES)
register(
    _torch.distributions.LKJCholesky,
    lambda q: LKJCholesky(q.dim, q.concentration, validate_args=q._validate_args),
)
register_family(_torch.distributions.Poisson, Poisson)
register_with_one_of(_torch.distributions.Geometric, Geometric, ("probs", "logits"))
for _weighted in (Bernoulli, Binomial, Categorical, ContinuousBernoulli, NegativeBinomial):
    register_with_logits(getattr(_torch.distributions, _weighted.__name__), _weighted)
for _one_hot in (  # the second has the same law; its biased derivative is the estimator StraightThrough
    _torch.distributions.OneHotCategorical,
    _torch.distributions.OneHotCategoricalStraightThrough,
):
    register(
        _one_hot,
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
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Dirichlet",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Distribution",
    "ExpGamma",
    "Exponential",
    "FisherSnedecor",
    "Folded",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "InverseGaussian",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "Logistic",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "Mixture",
    "MixtureSameFamily",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "Pareto",
    "Poisson",
    "PowerSpherical",
    "Pushforward",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
    "TransformedDistribution",
    "Truncated",
    "TruncatedNormal",
    "Uniform",
    "VonMises",
    "VonMisesFisher",
    "Weibull",
    "Wishart",
    "ZeroInflated",
    "convert",
    "detach",
    "draw",
    "register",
]
