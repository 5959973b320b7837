"""From a plain description to a model: what a run folder stores is enough to build the model again."""

from dataclasses import dataclass

import torch

from reparam.models.likelihoods import BernoulliLikelihood, GaussianLikelihood, Likelihood
from reparam.models.nets import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from reparam.models.posteriors import DiagonalGaussian
from reparam.models.priors import StandardNormal
from reparam.models.vae import VAE
from reparam.noise import Noise, seeded_torch

NETS = {"mlp": (MLPEncoder, MLPDecoder), "conv": (ConvEncoder, ConvDecoder)}
LIKELIHOODS = ("bernoulli", "gaussian")


@dataclass(frozen=True)
class ModelSpec:
    """What a VAE is made of.

    Attributes:
        event: shape of one example: (C, H, W) or (D,).
        latent: number of latent units.
        net: "mlp" or "conv".
        hidden: widths of the hidden layers, encoder first; the decoder mirrors them.
        likelihood: "bernoulli" or "gaussian".
        binarize: binarise grey values by address (Bernoulli only).
        pictures: the Gaussian scale is one number, not one per dimension.
    """

    event: tuple[int, ...]
    latent: int
    net: str = "mlp"
    hidden: tuple[int, ...] = (400,)
    likelihood: str = "bernoulli"
    binarize: bool = False
    pictures: bool = True


def build_vae(spec: ModelSpec, noise: Noise, dtype: torch.dtype = torch.float32) -> VAE:
    """Build a VAE whose initial weights are a pure function of the noise.

    Raises:
        ValueError: an unknown net or likelihood, or convolutions on data without height and width.
    """
    if spec.net not in NETS:
        raise ValueError(f"build_vae: net must be one of {', '.join(NETS)}; got {spec.net!r}")
    if spec.likelihood not in LIKELIHOODS:
        raise ValueError(
            f"build_vae: likelihood must be one of {', '.join(LIKELIHOODS)}; got {spec.likelihood!r}"
        )
    if spec.net == "conv" and len(spec.event) != 3:
        raise ValueError(
            f"build_vae: net 'conv' needs examples of shape (C, H, W); got {spec.event}; write 'mlp'"
        )
    encoder_class, decoder_class = NETS[spec.net]
    posterior = DiagonalGaussian(spec.latent)
    likelihood: Likelihood
    with seeded_torch(noise):
        encoder = encoder_class(spec.event, spec.hidden, posterior.features)
        decoder = decoder_class(
            spec.latent, spec.hidden[::-1] if spec.net == "mlp" else spec.hidden, spec.event
        )
        if spec.likelihood == "bernoulli":
            likelihood = BernoulliLikelihood(spec.event, spec.binarize)
        else:
            likelihood = GaussianLikelihood(spec.event, shared_scale=spec.pictures)
    return VAE(encoder, posterior, StandardNormal(spec.latent), decoder, likelihood).to(dtype)
