"""Laws on the unit sphere of R^d around a direction: von Mises-Fisher and power spherical.

    x = t mu + sqrt(1 - t^2) v,   t = mu.x,   v a uniform direction orthogonal to mu, v = P n/|P n|, P = I - mu mu'

with t by the quantile of xi = atanh t at a normal eps_0, and n from d further normals. At fixed noise

    dx/dkappa = (mu - t v/sqrt(1 - t^2)) dt/dkappa,   dt = (1 - t^2) dxi,

and mu is read as loc/|loc|, so that gradients in loc are tangent to the sphere. Several n give the same x; `pathwise`
in loc is the mean of dx/dloc over them, which solves the same continuity equation.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints

from reparam import special
from reparam.distributions.base import result_dtype
from reparam.distributions.multivariate import Multivariate
from reparam.kernels.reference.implicit import digamma_gap, log_gamma_gap
from reparam.noise import NoiseSpec
from reparam.special.spherical import log_sphere_area, log_sphere_integral, one_minus_ratio


class _Sphere(constraints.Constraint):
    """Vectors of length 1 up to 1e-4, or to the rounding of their dtype."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """Return whether each vector has length 1."""
        length = torch.linalg.vector_norm(value.double(), dim=-1)
        return (length - 1).abs() < max(1e-4, torch.finfo(value.dtype).eps)


SPHERE = _Sphere()


class _Spherical(Multivariate):
    """A law whose density depends on t = mu.x alone."""

    rule = "implicit"
    support = SPHERE
    arg_constraints: ClassVar[dict] = {"loc": SPHERE, "concentration": constraints.positive}

    def __init__(self, loc: Tensor, concentration: Tensor | float, validate_args: bool | None = None) -> None:
        who = type(self).__name__
        if not isinstance(loc, Tensor) or loc.ndim < 1 or loc.shape[-1] < 2:
            got = tuple(loc.shape) if isinstance(loc, Tensor) else type(loc).__name__
            raise ValueError(f"{who}: loc must be a tensor of unit vectors (*B, d), d >= 2; got {got}")
        concentration = torch.as_tensor(concentration, dtype=loc.dtype, device=loc.device)
        batch = torch.broadcast_shapes(loc.shape[:-1], concentration.shape)
        self.loc = loc.expand(*batch, loc.shape[-1])
        self.concentration = concentration.expand(batch)
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)

    def parameters(self) -> dict[str, Tensor]:
        """Return loc and concentration."""
        return {"loc": self.loc, "concentration": self.concentration}

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return the distribution with a larger batch shape."""
        batch = torch.Size(batch_shape)
        grown = self.rebuilt(
            loc=self.loc.expand(batch + self.event_shape), concentration=self.concentration.expand(batch)
        )
        grown._validate_args = self._validate_args
        return grown

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return normal noise, d + 1 numbers per draw: one for t, d for the direction."""
        shape = (*sample_shape, *self.batch_shape, self.event_shape[0] + 1)
        return NoiseSpec("normal", shape, len(sample_shape), self.loc.dtype, self.loc.device)

    def push(self, eps: Tensor) -> Tensor:
        """Return t mu + sqrt(1 - t^2) v; computed in float64 and rounded once."""
        xi = self._quantile(eps[..., 0].double())
        return self._turned(xi, eps[..., 1:].double()).to(eps.dtype)

    def pull(self, x: Tensor) -> Tensor:
        """Return (xi, v) in float64, which `move` carries along."""
        mu, x = self._mu(), x.double()
        # |x - mu|^2 and |x + mu|^2 are 2 - 2t and 2 + 2t without cancellation
        xi = torch.log(((x + mu) ** 2).sum(-1) / ((x - mu) ** 2).sum(-1)) / 2
        return torch.cat((xi.unsqueeze(-1), across(mu, x)), -1)

    def move(self, eps: Tensor) -> Tensor:
        """Return x at the state of `pull`, moving with loc and concentration."""
        return self._turned(self._attached(eps[..., 0]), eps[..., 1:]).to(self.loc.dtype)

    def _mu(self) -> Tensor:
        loc = self.loc.double()
        return loc / torch.linalg.vector_norm(loc, dim=-1, keepdim=True)

    def _turned(self, xi: Tensor, n: Tensor) -> Tensor:
        mu = self._mu()
        t, root = torch.tanh(xi).unsqueeze(-1), (1 / torch.cosh(xi)).unsqueeze(-1)
        return t * mu + root * across(mu, n)

    def _quantile(self, eps: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__}: this family has no quantile of xi")

    def _attached(self, xi: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__}: this family has no velocity of xi")


def across(mu: Tensor, n: Tensor) -> Tensor:
    """Return P n/|P n|, P = I - mu mu': the direction of n orthogonal to mu."""
    rest = n - (n * mu).sum(-1, keepdim=True) * mu
    rest = rest - (rest * mu).sum(-1, keepdim=True) * mu
    return rest / torch.linalg.vector_norm(rest, dim=-1, keepdim=True)


class VonMisesFisher(_Spherical):
    """Von Mises-Fisher law on the unit sphere of R^d, density proportional to e^(kappa mu.x), any d >= 2.

        x = t mu + sqrt(1 - t^2) v,  t by quantile at eps_0, its density proportional to e^(kappa t) (1 - t^2)^((d-3)/2)
        v = P n/|P n|,  P = I - mu mu',  n = eps_1..d

    Args:
        loc: mu, unit vectors (*B, d).
        concentration: kappa > 0 (*B).

    Shape: batch (*B), event (d,); the noise has shape (*S, *B, d + 1).

    Gradient: implicit, unbiased, exact in every dimension: dE[mu.x]/dkappa = 1 - A^2 - (d - 1) A/kappa with
    A = I_{d/2}(kappa)/I_{d/2-1}(kappa). `pathwise`: loc (*S, *B, d, d), tangent; concentration (*S, *B, d). Double
    backward and forward mode work. Cost: about 15 integrals of 64 nodes per draw, at d = 3
    a few logarithms.

    Raises:
        ValueError: for loc that is no unit vector (where arguments are validated).

    Source: davidson2018.

    Example:
        >>> import reparam as rp
        >>> q = VonMisesFisher(torch.tensor([1.0, 0.0, 0.0]), 5.0)
        >>> q.rsample((4,), noise=rp.Noise(0)).shape
        torch.Size([4, 3])
    """

    def _constants(self) -> tuple[Tensor, Tensor]:
        kappa = self.concentration.double()
        return torch.full_like(kappa, float(self.event_shape[0])).detach(), kappa

    def _gap(self) -> Tensor:
        """1 - A."""
        d, kappa = self._constants()
        return one_minus_ratio(kappa, d)

    def _quantile(self, eps: Tensor) -> Tensor:
        return special.quantile(special.FISHER, eps, *self._constants())

    def _attached(self, xi: Tensor) -> Tensor:
        return special.attach(special.FISHER, xi, *self._constants())

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats with respect to area; -kappa |x - mu|^2/2 - log N - log |S^(d-2)|, in float64."""
        if self._validate_args:
            self._validate_sample(value)
        apart = ((value.double() - self._mu()) ** 2).sum(-1)
        return (-self.concentration.double() / 2 * apart - self._log_norm()).to(result_dtype(self.loc, value))

    def _log_norm(self) -> Tensor:
        d, kappa = self._constants()
        return log_sphere_integral(kappa, d) + log_sphere_area(self.event_shape[0] - 1)

    @property
    def mean(self) -> Tensor:
        """A mu."""
        A = 1 - self._gap()
        return (A.unsqueeze(-1) * self._mu()).to(self.loc.dtype)

    @property
    def variance(self) -> Tensor:
        """A/kappa + (1 - A^2 - d A/kappa) mu_i^2 of each coordinate."""
        A = (1 - self._gap()).unsqueeze(-1)
        slope = A / self.concentration.double().unsqueeze(-1)
        own = (1 - A * A - self.event_shape[0] * slope) * self._mu() ** 2
        return (slope + own).to(self.loc.dtype)

    def entropy(self) -> Tensor:
        """Return kappa (1 - A) + log N + log |S^(d-2)| in nats."""
        spread = self.concentration.double() * self._gap()
        return (spread + self._log_norm()).to(self.loc.dtype)


class PowerSpherical(_Spherical):
    """Power spherical law on the unit sphere of R^d, density proportional to (1 + mu.x)^kappa, any d >= 2.

        x = t mu + sqrt(1 - t^2) v,  (1 + t)/2 ~ Beta(b + kappa, b) by quantile at eps_0,  b = (d - 1)/2,
        v = P n/|P n|,  P = I - mu mu',  n = eps_1..d

    Args:
        loc: mu, unit vectors (*B, d).
        concentration: kappa > 0 (*B).

    Shape: batch (*B), event (d,); the noise has shape (*S, *B, d + 1).

    Gradient: implicit, unbiased. `pathwise`: loc (*S, *B, d, d), tangent; concentration (*S, *B, d). Double backward
    and forward mode work.

    Source: decao2020.

    Example:
        >>> PowerSpherical(torch.tensor([1.0, 0.0, 0.0]), 2.0).mean
        tensor([0.5000, 0.0000, 0.0000])
    """

    def _shapes(self) -> tuple[Tensor, Tensor]:
        kappa = self.concentration.double()
        b = torch.full_like(kappa, (self.event_shape[0] - 1) / 2).detach()
        return b + kappa, b

    def _quantile(self, eps: Tensor) -> Tensor:
        return special.quantile(special.BETA, eps, *self._shapes()) / 2

    def _attached(self, xi: Tensor) -> Tensor:
        return special.attach(special.BETA, 2 * xi, *self._shapes()) / 2

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats with respect to area; computed in float64."""
        if self._validate_args:
            self._validate_sample(value)
        together = torch.log(((value.double() + self._mu()) ** 2).sum(-1) / 4)
        log_prob = self.concentration.double() * together - self._log_norm()
        return log_prob.to(result_dtype(self.loc, value))

    def _log_norm(self) -> Tensor:
        """log of int ((1 + mu.x)/2)^kappa dx = 2^(d-2) B(a, b) |S^(d-2)|."""
        a, b = self._shapes()
        log_beta = torch.lgamma(b) - log_gamma_gap(a, b)
        return log_beta + (2 * b - 1) * math.log(2) + log_sphere_area(self.event_shape[0] - 1)

    @property
    def mean(self) -> Tensor:
        """(a - b)/(a + b) mu."""
        a, b = self._shapes()
        return (((a - b) / (a + b)).unsqueeze(-1) * self._mu()).to(self.loc.dtype)

    @property
    def variance(self) -> Tensor:
        """Var t mu_i^2 + E[1 - t^2] (1 - mu_i^2)/(d - 1) of each coordinate."""
        a, b = (x.unsqueeze(-1) for x in self._shapes())
        total, square = a + b, self._mu() ** 2
        var = 4 * a * b / (total**2 * (total + 1))
        across_mean = 4 * a * b / (total * (total + 1)) / (2 * b)
        return (var * square + across_mean * (1 - square)).to(self.loc.dtype)

    def entropy(self) -> Tensor:
        """Return log norm + kappa (psi(a + b) - psi(a)) in nats."""
        spread = self.concentration.double() * digamma_gap(*self._shapes())
        return (self._log_norm() + spread).to(self.loc.dtype)


__all__ = ["PowerSpherical", "VonMisesFisher"]
