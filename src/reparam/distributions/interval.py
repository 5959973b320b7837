"""Explicit families on an interval: Uniform, Kumaraswamy, ContinuousBernoulli."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reparam.distributions import laws
from reparam.distributions.arguments import holds, joined
from reparam.distributions.explicit import Explicit
from reparam.distributions.lean import Lean
from reparam.distributions.one_pass import OfNoise
from reparam.special.logarithms import one_less_exp
from reparam.transforms.interval import interval_quantile
from reparam.transforms.noise_maps import INTERVAL, KUMARASWAMY
from reparam.transforms.quotients import exprel, exprel_slope, horner, logrel


class Uniform(Explicit, torch.distributions.Uniform):
    """Uniform law on [low, high].

        z = low + (high - low) eps,  eps ~ Uniform(0, 1)

    Args:
        low: lower end, < high.
        high: upper end.

    Shape: low and high broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased for f continuous at the ends; dz/dlow = 1 - eps, dz/dhigh = eps. Double backward
    and forward mode work.

    Source: devroye1986.

    Example:
        >>> Uniform(torch.tensor(-1.0), torch.tensor(3.0)).cdf(torch.tensor(0.0))
        tensor(0.2500)
    """

    base_law = "uniform"
    law = laws.UNIFORM

    def push(self, eps: Tensor) -> Tensor:
        """Return low + (high - low) eps, never beyond either end."""
        return torch.lerp(self.low, self.high, eps)

    def pull(self, x: Tensor) -> Tensor:
        """Return (x - low) / (high - low)."""
        return (x - self.low) / (self.high - self.low)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return -log(high - low)."""
        return -torch.log(self.high - self.low)

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return (high - x) / (high - low)."""
        return ((self.high - x) / (self.high - self.low)).clamp(0, 1)

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return high - (high - low) q."""
        return torch.lerp(self.high, self.low, q)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dlow = (high - x) / (high - low) and dz/dhigh = (x - low) / (high - low)."""
        width = self.high - self.low
        return {"low": (self.high - x) / width, "high": (x - self.low) / width}


class Kumaraswamy(Lean, OfNoise, torch.distributions.Kumaraswamy):
    """Kumaraswamy law on [0, 1], S(x) = (1 - x^a)^b, a = concentration1, b = concentration0.

        z = (1 - e^(-eps / b))^(1 / a),  eps ~ Exponential(1), computed as exp of its logarithm

    Args:
        concentration1: a > 0.
        concentration0: b > 0.

    Shape: the parameters broadcast to the batch shape; scalar events.

    Gradient: explicit, unbiased; dz/da = -z log z / a, dz/db = z w log w / (a b (1 - w)) with w = 1 - z^a. Double
    backward and forward mode work.

    Source: devroye1986.

    Example:
        >>> Kumaraswamy(torch.tensor(2.0), torch.tensor(3.0)).survival(torch.tensor(0.5))
        tensor(0.4219)
    """

    late = "base_dist", "transforms"
    law = laws.EXPONENTIAL
    map = KUMARASWAMY

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = joined(concentration1, concentration0)
        self.settle(self.concentration1.shape, validate_args)

    def pull(self, x: Tensor) -> Tensor:
        """Return -b log(1 - x^a)."""
        return -self.concentration0 * self._log_w(x)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log(a b) + (a - 1) log x + (b - 1) log(1 - x^a)."""
        a, b = self.concentration1, self.concentration0
        return torch.log(a) + torch.log(b) + torch.xlogy(a - 1, x) + torch.xlogy(b - 1, self._w(x))

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return 1 - (1 - x^a)^b, without subtraction."""
        return one_less_exp(self.concentration0 * self._log_w(x))

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/da = -x log x / a and dz/db = x w log w / (a b (1 - w)), 1 - w = x^a."""
        a, b = self.concentration1, self.concentration0
        power, w = torch.exp(a * torch.log(x)), self._w(x)
        low = power < 0.5
        log_w = torch.log(torch.where(w > 0, w, 1.0))  # the derivative is 0 at either end
        ratio = torch.where(low, -logrel(torch.where(low, -power, 0.0)), log_w / torch.where(low, 1.0, power))
        return {"concentration1": -torch.xlogy(x, x) / a, "concentration0": x * w * ratio / (a * b)}

    @property
    def mode(self) -> Tensor:
        """The mode ((a - 1) / (a b - 1))^(1/a); nan where a < 1, b < 1 or a = b = 1."""
        a, b = self.concentration1, self.concentration0
        inside = (a >= 1) & (b >= 1) & (a * b > 1)
        log_mode = (
            torch.log(torch.where(inside, a - 1, 1.0)) - torch.log(torch.where(inside, a * b - 1, 1.0))
        ) / a
        return torch.where(inside, torch.exp(log_mode), torch.nan)

    def _w(self, x: Tensor) -> Tensor:
        """Return 1 - x^a, accurate where x is near 1."""
        return one_less_exp(self.concentration1 * torch.log(x))

    def _log_w(self, x: Tensor) -> Tensor:
        """Return log(1 - x^a), accurate at both ends."""
        w = self._w(x)
        low = w > 0.5
        power = torch.exp(self.concentration1 * torch.log(torch.where(low, x, 0.5)))
        return torch.where(low, torch.log1p(-power), torch.log(torch.where(low, 0.5, w)))


# B_2k / (2k (2k)!): the series of log(sinh(l / 2) / (l / 2)) in powers of l^2, radius 2 pi
LOG_SINH_SERIES = [
    0.0,
    1 / 24,
    -1 / 2880,
    1 / 181440,
    -1 / 9676800,
    1 / 479001600,
    -691 / 15692092416000,
    1 / 1046139494400,
    -3617 / 170729965486080000,
    43867 / 91963695909076992000,
    -174611 / 16057153253965824000000,
]
LOG_SINH_RADIUS = 1.0
DIVIDED_BELOW = 3.0
NODES, WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(10))


class ContinuousBernoulli(OfNoise, torch.distributions.ContinuousBernoulli):
    """Continuous Bernoulli law on [0, 1], density l e^(l x) / (e^l - 1), l = logits.

        z = log(1 + eps (e^l - 1)) / l,  eps ~ Uniform(0, 1)

    l = 0 (probs 1/2) is the uniform law, and everything is smooth through it.

    Args:
        probs: sigmoid(l), strictly between 0 and 1.
        logits: l, real. Exactly one of the two is given.

    Shape: the shape of the parameter is the batch shape; scalar events.

    Gradient: explicit, unbiased; derivative of the map above at fixed eps. Double backward and forward mode work.

    Raises:
        ValueError: probs is 0 or 1 or beyond (pass logits instead); both or neither parameter is given.

    Source: loaiza-ganem2019.

    Example:
        >>> ContinuousBernoulli(probs=torch.tensor(0.5)).mean
        tensor(0.5000)
    """

    base_law = "uniform"
    law = laws.UNIFORM
    map = INTERVAL
    given: str

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if validate_args is not None:
            self._validate_args = validate_args
        super().__init__(
            probs, logits
        )  # without validate_args: torch's own check of probs cannot run under vmap
        self.given = "logits" if probs is None else "probs"
        if probs is not None:
            self.probs = torch.as_tensor(probs, dtype=self.probs.dtype, device=self.probs.device)
            self._param = self.probs  # torch's class has moved it away from 0 and 1
            if self._validate_args and not holds((self.probs > 0) & (self.probs < 1)):
                raise ValueError(
                    "ContinuousBernoulli: probs must be strictly between 0 and 1; got a value at or beyond an end; "
                    "pass logits instead, which reach every law"
                )

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ContinuousBernoulli":
        """Return the distribution with a larger batch shape."""
        new = super().expand(batch_shape, _instance or type(self).__new__(type(self)))
        new.given = self.given
        return new

    def parameters(self) -> dict[str, Tensor]:
        """Return {"probs": ...} or {"logits": ...}, as given."""
        return {self.given: self._param}

    def arguments(self) -> tuple[Tensor, ...]:
        """Return the logits, whichever was given."""
        return (self._l(),)

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return the quantile at u."""
        return interval_quantile(self._l(), u, 1 - u)

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return the quantile at 1 - q."""
        return interval_quantile(self._l(), 1 - q, q)

    def pull(self, x: Tensor) -> Tensor:
        """Return F(x) = (e^(l x) - 1) / (e^l - 1)."""
        return mass_below(self._l(), x)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dl = ((1 - e^(-l x)) / (1 - e^-l) - x) / l; dz/dprobs is that over probs (1 - probs)."""
        slope = _velocity(self._l(), x)
        if self.given == "logits":
            return {"logits": slope}
        return {"probs": slope / (self._param * (1 - self._param))}

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return S(x): the mirrored law has logits -l."""
        return _moving_with_the_smaller(*self._sides(x)[::-1])

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return _moving_with_the_smaller(*self._sides(x))

    def _sides(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inside = x.clamp(0, 1)
        return mass_below(self._l(), inside), mass_below(-self._l(), 1 - inside)

    def log_density(self, x: Tensor) -> Tensor:
        """Return l (x - 1/2) - log(sinh(l / 2) / (l / 2))."""
        value = self._l() * (x - 0.5) - log_sinh_quotient(self._l())
        return torch.where((x >= 0) & (x <= 1), value, -torch.inf)

    @property
    def mode(self) -> Tensor:
        """The mode: 1 for l > 0, 0 for l < 0; nan for l = 0, where all points are as likely."""
        l = self._l()
        return torch.where(l == 0, torch.nan, (l > 0).to(l.dtype))

    @property
    def mean(self) -> Tensor:
        """The mean, 1/2 + d/dl log(sinh(l / 2) / (l / 2))."""
        return self._narrow(0.5 + _first(self._l()))

    @property
    def variance(self) -> Tensor:
        """The variance, d^2/dl^2 log(sinh(l / 2) / (l / 2))."""
        return self._narrow(_derivative(_first, self._l()))

    def entropy(self) -> Tensor:
        """Return log(sinh(l / 2) / (l / 2)) - l (mean - 1/2) in nats."""
        return self._narrow(log_sinh_quotient(self._l()) - self._l() * _first(self._l()))

    def _narrow(self, value: Tensor) -> Tensor:
        """Return a number computed in float64 in the dtype of the parameter."""
        return value.to(next(iter(self.parameters().values())).dtype)

    def _l(self) -> Tensor:
        name, value = next(iter(self.parameters().items()))
        return value if name == "logits" else torch.log(value) - torch.log1p(-value)


def _moving_with_the_smaller(mass: Tensor, other: Tensor) -> Tensor:
    """Return a probability; where it is near 1, its derivative is that of 1 - other, which has kept its digits."""
    return torch.where(mass > other, mass.detach() - (other - other.detach()), mass)


def _velocity(l: Tensor, x: Tensor) -> Tensor:
    """Return dz/dl at fixed u, where z = x.

    With r = |l|, d the distance of x from the end where the density is larger, e = 1 - d and g(t) = (1 - e^-t) / t,

        dz/dl = e (g(r e)/g(r) - 1) / r = d (1 - e^(-r e) g(r d)/g(r)) / r = -e d g[r e, r] / g(r):

    the first where e < d, the second elsewhere, and near r = 0 the divided difference g[a, b] = int_a^b g' / (b - a).
    """
    r = l.abs()
    d, e = torch.where(l > 0, 1 - x, x), torch.where(l > 0, x, 1 - x)
    near = r < DIVIDED_BELOW
    far, small = torch.where(near, 1.0, r), torch.where(near, r, 0.0)
    first = e * (exprel(-far * e) / exprel(-far) - 1) / far
    second = d * (1 - torch.exp(-far * e) * exprel(-far * d) / exprel(-far)) / far
    divided = torch.zeros_like(small * d)
    for node, weight in zip(NODES, WEIGHTS):
        divided = divided + weight / 2 * exprel_slope(-small * (e + d * ((1 + node) / 2)))
    return torch.where(near, d * e * divided / exprel(-small), torch.where(e < d, first, second))


def mass_below(l: Tensor, x: Tensor) -> Tensor:
    """Return (e^(l x) - 1) / (e^l - 1), smooth at l = 0 and without overflow."""
    r = torch.where(l > 0, l, -l)
    ratio = x * exprel(-r * x) / exprel(-r)
    return torch.where(l > 0, torch.exp(-r * (1 - x)), 1.0) * ratio


def log_sinh_quotient(l: Tensor) -> Tensor:
    """Return log(sinh(l / 2) / (l / 2)), even and smooth."""
    near = l.abs() < LOG_SINH_RADIUS
    small, large = torch.where(near, l, 0.0), torch.where(near, 1.0, l.abs())
    far = large / 2 + torch.log(-torch.expm1(-large)) - torch.log(large)
    return torch.where(near, horner(small * small, LOG_SINH_SERIES), far)


def _first(l: Tensor) -> Tensor:
    return _derivative(log_sinh_quotient, l)


def _derivative(f: Callable[[Tensor], Tensor], l: Tensor) -> Tensor:
    return torch.func.jvp(f, (l.clone(),), (torch.ones(l.shape).to(l),))[1]
