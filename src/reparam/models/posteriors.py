"""Posterior families q(z|x): from an encoder's features to a distribution of z."""

from torch import Tensor, nn

from reparam import distributions as D
from reparam.layers import gaussian
from reparam.noise import Noise


class DiagonalGaussian(nn.Module):
    """q(z|x) = N(loc, diag exp(2 log_scale)), from features (loc, log_scale)."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent, self.features = latent, 2 * latent

    def forward(self, features: Tensor) -> D.Independent:
        """Return q for features of shape (..., 2 latent)."""
        loc, log_scale = features.chunk(2, -1)
        return D.Independent(D.Normal(loc, log_scale.exp(), validate_args=False), 1, validate_args=False)

    def draw(self, features: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return z ~ q(z|x) and KL(q || N(0, I)), (..., latent) and (...), in one pass; see `layers.gaussian`."""
        loc, log_scale = features.chunk(2, -1)
        return gaussian(loc, log_scale, noise=noise)
