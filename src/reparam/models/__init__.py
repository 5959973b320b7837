"""Generative models composed of exchangeable parts."""

from reparam.models.build import ModelSpec, build_vae
from reparam.models.likelihoods import BernoulliLikelihood, GaussianLikelihood
from reparam.models.nets import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from reparam.models.posteriors import DiagonalGaussian
from reparam.models.priors import StandardNormal
from reparam.models.vae import VAE

__all__ = [
    "VAE",
    "BernoulliLikelihood",
    "ConvDecoder",
    "ConvEncoder",
    "DiagonalGaussian",
    "GaussianLikelihood",
    "MLPDecoder",
    "MLPEncoder",
    "ModelSpec",
    "StandardNormal",
    "build_vae",
]
