"""Dropout with noise as an argument: Bernoulli, Gaussian, and variational (a Gaussian whose rate is learned)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from reparam.layers.scope import layer_noise
from reparam.noise import Noise, NoiseSpec


def _check_rate(name: str, p: float) -> float:
    if not 0 <= p < 1:
        raise ValueError(f"{name}: p must be in [0, 1); got {p!r}")
    return p


def _draw(layer: nn.Module, noise: Noise | None, law: str, x: Tensor) -> Tensor:
    return layer_noise(layer, noise).draw(NoiseSpec(law, tuple(x.shape), 0, x.dtype, x.device))


class Dropout(nn.Module):
    """Set each number to 0 with probability p and divide the others by 1 - p; the identity in evaluation mode.

    Shape: any; with rows in the noise, the first axis is the batch.

    Gradient: exact for the mask drawn; unbiased for the expected loss. The same address draws the same mask.
    Source: srivastava2014.

    Example:
        >>> Dropout(0.5)(torch.ones(4), noise=Noise(1)).unique()
        tensor([0., 2.])
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = _check_rate("Dropout", p)

    def forward(self, x: Tensor, *, noise: Noise | None = None) -> Tensor:
        """Return x masked, in training mode."""
        if not self.training or self.p == 0:
            return x
        keep = _draw(self, noise, "uniform", x) >= self.p
        return torch.where(keep, x / (1 - self.p), 0.0)


class GaussianDropout(nn.Module):
    """Multiply each number by 1 + sqrt(p / (1 - p)) eps, eps normal; the identity in evaluation mode.

    The mean and variance are those of Dropout(p).

    Gradient: explicit, unbiased. Source: srivastava2014.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = _check_rate("GaussianDropout", p)

    def forward(self, x: Tensor, *, noise: Noise | None = None) -> Tensor:
        """Return x times its noise, in training mode."""
        if not self.training or self.p == 0:
            return x
        return x * (1 + math.sqrt(self.p / (1 - self.p)) * _draw(self, noise, "normal", x))


class VariationalDropout(nn.Module):
    """Gaussian dropout whose variance alpha is learned, one per feature: y = x (1 + sqrt(alpha) eps).

    Args:
        features: size of the last axis of x.
        initial_p: the rate p that alpha = p / (1 - p) starts with.

    Shape: (*, features) -> the same.

    Gradient: explicit, unbiased in x and log_alpha. `kl` is a closed-form approximation of the KL to the log-uniform
    prior (up to its constant), within .01 nats per feature for every alpha.
    Source: kingma2015, molchanov2017 (the approximation).
    """

    def __init__(self, features: int, initial_p: float = 0.1) -> None:
        super().__init__()
        p = _check_rate("VariationalDropout", initial_p)
        if p == 0:
            raise ValueError("VariationalDropout: initial_p must be > 0, since log alpha is learned; got 0")
        self.log_alpha = nn.Parameter(torch.full((features,), math.log(p / (1 - p))))

    def forward(self, x: Tensor, *, noise: Noise | None = None) -> Tensor:
        """Return x times its noise, in training mode."""
        if not self.training:
            return x
        return x * (1 + torch.exp(self.log_alpha / 2) * _draw(self, noise, "normal", x))

    def kl(self) -> Tensor:
        """Return the approximate KL in nats, summed over features; 0 as alpha grows without bound.

        KL = k1 - k1 sigmoid(k2 + k3 log alpha) + log(1 + 1 / alpha) / 2
        """
        k1, k2, k3 = 0.63576, 1.87320, 1.48695
        a = self.log_alpha
        return (k1 * torch.sigmoid(-(k2 + k3 * a)) + softplus(-a) / 2).sum()
