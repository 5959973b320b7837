"""Layers with noise as an argument."""

from reparam.layers.bayes import BayesLinear
from reparam.layers.bayes_conv import BayesConv1d, BayesConv2d
from reparam.layers.convert import Bayesian, make_bayesian
from reparam.layers.dropout import Dropout, GaussianDropout, VariationalDropout
from reparam.layers.gaussian import gaussian
from reparam.layers.latent import CategoricalLatent, GaussianLatent, Latent
from reparam.layers.scope import noise_scope

__all__ = [
    "BayesConv1d",
    "BayesConv2d",
    "BayesLinear",
    "Bayesian",
    "CategoricalLatent",
    "Dropout",
    "GaussianDropout",
    "GaussianLatent",
    "Latent",
    "VariationalDropout",
    "gaussian",
    "make_bayesian",
    "noise_scope",
]
