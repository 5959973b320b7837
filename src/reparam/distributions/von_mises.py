"""The von Mises law on the circle: angles in [-pi, pi)."""

import math

import torch
from torch import Tensor

from reparam import special
from reparam.distributions.implicit import Implicit
from reparam.transforms.vonmises import vonmises_draw_quantile


class VonMises(Implicit, torch.distributions.VonMises):
    """Von Mises law, density exp(kappa cos(x - loc)) / (2 pi I_0(kappa)), kappa = concentration; radians.

        z = loc + y wrapped to [-pi, pi),  F_y(y; kappa) = Phi(eps),  eps ~ N(0, 1),  y in (-pi, pi)

    `cdf` and `icdf` count from loc - pi, the point opposite to the mode.

    Args:
        loc: mode, real.
        concentration: kappa > 0.

    Shape: the parameters broadcast to the batch shape; scalar events.

    Gradient: implicit, unbiased for a periodic f; dz/dloc = 1, dz/dkappa = dy/dkappa. Reverse, forward, vmap, compile;
    second derivatives exact, a third one raises.

    Source: figurnov2018.

    Example:
        >>> VonMises(torch.tensor(0.0), torch.tensor(2.0)).cdf(torch.tensor(0.0))
        tensor(0.5000)
    """

    def push(self, eps: Tensor) -> Tensor:
        """Return loc + y, wrapped to [-pi, pi)."""
        return wrapped(self.loc + vonmises_draw_quantile(self.concentration, eps))

    def log_density(self, x: Tensor) -> Tensor:
        """Return -2 kappa sin^2((x - loc) / 2) - log(2 pi I_0(kappa) e^-kappa)."""
        return special.vonmises_log_density(x - self.loc, self.concentration)

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return the probability from loc - pi to x."""
        return torch.exp(special.tails(special.VONMISES, wrapped(x - self.loc), self.concentration)[0])

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return the probability from x to loc + pi."""
        return torch.exp(special.tails(special.VONMISES, wrapped(x - self.loc), self.concentration)[1])

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dloc = 1 and dz/dkappa = dy/dkappa."""
        slope = special.velocity(special.VONMISES, wrapped(x - self.loc), self.concentration)[0]
        return {"loc": torch.ones_like(slope), "concentration": slope}

    @property
    def variance(self) -> Tensor:
        """The circular variance, 1 - I_1(kappa) / I_0(kappa)."""
        return 1 - special.bessel_ratio(torch.ones_like(self.concentration), self.concentration)

    def entropy(self) -> Tensor:
        """Return log(2 pi I_0(kappa)) - kappa I_1(kappa) / I_0(kappa) in nats."""
        kappa = self.concentration
        scaled = torch.log(torch.special.i0e(kappa)) + math.log(2 * math.pi)
        return scaled + kappa * self.variance


def wrapped(angle: Tensor) -> Tensor:
    """Return the angle moved by a multiple of 2 pi into [-pi, pi)."""
    return angle - 2 * math.pi * torch.floor((angle + math.pi) / (2 * math.pi)).detach()
