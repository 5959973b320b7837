"""Distributions of random layers: torch's families as maps of noise, with gradients that are checked."""

import torch as _torch

from reparam.distributions.base import Distribution
from reparam.distributions.bernoulli import Bernoulli
from reparam.distributions.convert import convert, detach, draw, register
from reparam.distributions.normal import Normal
from reparam.distributions.wrappers import Independent, TransformedDistribution

register(_torch.distributions.Normal, lambda q: Normal(q.loc, q.scale, validate_args=q._validate_args))
register(
    _torch.distributions.Bernoulli,
    lambda q: Bernoulli(
        **{"probs" if q.__dict__.get("probs") is q._param else "logits": q._param},
        validate_args=q._validate_args,
    ),
)

__all__ = [
    "Bernoulli",
    "Distribution",
    "Independent",
    "Normal",
    "TransformedDistribution",
    "convert",
    "detach",
    "draw",
    "register",
]
