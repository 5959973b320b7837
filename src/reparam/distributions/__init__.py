"""Distributions of random layers: torch's families as maps of noise, with gradients that are checked."""

import torch as _torch

from reparam.distributions.base import Distribution
from reparam.distributions.bernoulli import Bernoulli
from reparam.distributions.categorical import Categorical, OneHotCategorical
from reparam.distributions.convert import convert, detach, draw, register
from reparam.distributions.normal import Normal
from reparam.distributions.relaxed import RelaxedBernoulli, RelaxedOneHotCategorical
from reparam.distributions.wrappers import Independent, TransformedDistribution

register(_torch.distributions.Normal, lambda q: Normal(q.loc, q.scale, validate_args=q._validate_args))
register(
    _torch.distributions.Bernoulli,
    lambda q: Bernoulli(
        **{"probs" if q.__dict__.get("probs") is q._param else "logits": q._param},
        validate_args=q._validate_args,
    ),
)
register(
    _torch.distributions.Categorical,
    lambda q: Categorical(
        **{"probs" if q.__dict__.get("probs") is q._param else "logits": q._param},
        validate_args=q._validate_args,
    ),
)
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
    "Distribution",
    "Independent",
    "Normal",
    "OneHotCategorical",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "TransformedDistribution",
    "convert",
    "detach",
    "draw",
    "register",
]
