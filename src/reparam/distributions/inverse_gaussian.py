"""The inverse Gaussian (Wald) law: first passage times of a Brownian motion with drift."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.kl import register_kl
from torch.distributions.utils import broadcast_all

from reparam import special
from reparam.distributions.implicit import Implicit
from reparam.special.mills import mills, mills_gap, scaled_expint

HALF_LOG_2PI = 0.91893853320467274178
TURN, NARROW = (
    5.0,
    0.25,
)  # beyond +-TURN one tail is the rest of the other; below NARROW a difference is integrated
NODES, WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(6))


class InverseGaussian(Implicit):
    """Inverse Gaussian law, density sqrt(lambda/(2 pi x^3)) exp(-lambda (x - mu)^2/(2 mu^2 x)), mu = loc.

        F(z; mu, lambda) = Phi(eps),  eps ~ N(0, 1),  lambda = concentration
        F = Phi(a) + e^(2 lambda/mu) Phi(-b),  a = sqrt(lambda/x) (x - mu)/mu,  b = sqrt(lambda/x) (x + mu)/mu
          = phi(a) (M(-a) + M(b)),   S = phi(a) (M(a) - M(b)),   M(t) = Phi(-t)/phi(t)

    Args:
        loc: mu, the mean, > 0.
        concentration: lambda, > 0; the variance is mu^3/lambda.

    Shape: loc and concentration broadcast to the batch shape; scalar events.

    Gradient: implicit, unbiased; with K(b) = 1 - b M(b), dz/dmu = 2 z^2 (1 - K)/(mu (z + mu)) and
    dz/dlambda = z (mu - z + 2 z K)/(lambda (z + mu)). Reverse, forward, vmap, compile; second derivatives exact.

    Source: figurnov2018.

    Example:
        >>> q = InverseGaussian(torch.tensor(1.0), torch.tensor(1.0))
        >>> q.cdf(torch.tensor(1.0))
        tensor(0.6681)
    """

    arg_constraints: ClassVar = {"loc": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "InverseGaussian":
        """Return the distribution with a larger batch shape."""
        new = self.rebuilt(lambda name, value: value.expand(batch_shape))
        new._validate_args = self._validate_args
        return new  # type: ignore[return-value]

    def push(self, eps: Tensor) -> Tensor:
        """Return z with F(z; mu, lambda) = Phi(eps)."""
        return special.draw(LAW, eps, self.loc, self.concentration)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log(lambda/x)/2 - log x - log(2 pi)/2 - a^2/2; -inf for x <= 0."""
        inside = (x > 0) & torch.isfinite(x)
        safe = torch.where(inside, x, 1.0)
        a, _ = self._ends(safe)
        value = 0.5 * (torch.log(self.concentration) - 3 * torch.log(safe)) - HALF_LOG_2PI - 0.5 * a * a
        return torch.where(inside, value, -torch.inf)

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return phi(a) (M(-a) + M(b)), or 1 - S far above."""
        return self._tails(x)[0]

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return phi(a) (M(a) - M(b)), or 1 - F far below."""
        return self._tails(x)[1]

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dmu = 2 x^2 (1 - K)/(mu (x + mu)) and dz/dlambda = x (mu - x + 2 x K)/(lambda (x + mu))."""
        of_mu, of_lambda = _velocity(x, self.loc, self.concentration)
        return {"loc": of_mu, "concentration": of_lambda}

    @property
    def mean(self) -> Tensor:
        """The mean, mu."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance, mu^3/lambda."""
        return self.loc**3 / self.concentration

    @property
    def mode(self) -> Tensor:
        """The mode, mu (sqrt(1 + r^2) - r) with r = 3 mu/(2 lambda)."""
        r = 1.5 * self.loc / self.concentration
        return self.loc / (torch.sqrt(1 + r * r) + r)

    def entropy(self) -> Tensor:
        """Return log(2 pi e mu^3/lambda)/2 - 3/2 e^(2 lambda/mu) E_1(2 lambda/mu) in nats."""
        wide = self._as(torch.float64)
        mu, lam = wide.loc, wide.concentration
        value = (
            0.5
            + HALF_LOG_2PI
            + 0.5 * (3 * torch.log(mu) - torch.log(lam))
            - 1.5 * scaled_expint(2 * lam / mu)
        )
        return value.to(self.loc.dtype)

    def _ends(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b."""
        root = torch.sqrt(self.concentration / x)
        return root * ((x - self.loc) / self.loc), root * ((x + self.loc) / self.loc)

    def _tails(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inside = (x > 0) & torch.isfinite(x)
        safe = torch.where(inside, x, self.loc.detach())
        a, b = self._ends(safe)
        down, up = a.clamp(max=TURN), a.clamp(min=-TURN)
        cdf = torch.exp(-0.5 * down * down - HALF_LOG_2PI) * (mills(-down) + mills(b))
        survival = torch.exp(-0.5 * up * up - HALF_LOG_2PI) * mills_difference(
            up, 2 * torch.sqrt(self.concentration / safe)
        )
        cdf, survival = torch.where(a > TURN, 1 - survival, cdf), torch.where(a < -TURN, 1 - cdf, survival)
        zero, one = torch.zeros_like(cdf), torch.ones_like(cdf)
        return (
            torch.where(inside, cdf, torch.where(x > 0, one, zero)),
            torch.where(inside, survival, torch.where(x > 0, zero, one)),
        )


def _velocity(x: Tensor, mu: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
    b = torch.sqrt(lam / x) * ((x + mu) / mu)
    share = x / (x + mu)
    return (
        2 * (x / mu) * share * b * mills(b),
        (x / lam) * ((mu - x) / (x + mu) + 2 * share * mills_gap(b)),
    )


def _log_density(x: Tensor, mu: Tensor, lam: Tensor) -> Tensor:
    return InverseGaussian(mu, lam, validate_args=False).log_density(x)


LAW = special.register(special.Family("inverse_gaussian", _log_density, _velocity))


def mills_difference(a: Tensor, width: Tensor) -> Tensor:
    """Return M(a) - M(a + width): as the integral of K = -M' where the width is small."""
    near = width < NARROW
    start, span = torch.where(near, a, 0.0), torch.where(near, width, 0.0)
    total = torch.zeros_like(start)
    for node, weight in zip(NODES, WEIGHTS):
        total = total + weight / 2 * mills_gap(start + span * ((1 + node) / 2))
    far = torch.where(near, 0.0, a)
    return torch.where(near, span * total, mills(far) - mills(far + torch.where(near, 1.0, width)))


@register_kl(InverseGaussian, InverseGaussian)
def _kl_inverse_gaussian(p: InverseGaussian, q: InverseGaussian) -> Tensor:
    """KL = (log r - 1 + 1/r)/2 + lambda_q (mu_p - mu_q)^2/(2 mu_p mu_q^2), r = lambda_p/lambda_q."""
    r = p.concentration / q.concentration
    apart = (p.loc - q.loc) / q.loc
    return 0.5 * (torch.log(r) - 1 + 1 / r) + 0.5 * q.concentration * apart * apart / p.loc
