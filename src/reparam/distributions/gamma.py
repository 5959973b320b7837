"""The gamma families: Gamma, its logarithm ExpGamma, its inverse InverseGamma, and Chi2.

With y = log of a standard gamma variable of shape alpha and F_y(y; alpha) = Phi(eps), each is a map of y - log rate.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.utils import broadcast_all

from reparam import special
from reparam.distributions.implicit import Implicit, tail_probabilities
from reparam.special.logarithms import log_parts, log_quotient


class GammaLike(Implicit):
    """A map z = T(l), l = y - log rate, y the logarithm of a standard gamma variable: `draw`, `to_log`, `log_slope`."""

    draw: ClassVar[str] = "gamma"  # the map, by its name in `special.draw`
    sign: ClassVar[int] = 1  # -1 where z decreases with y
    ends: ClassVar[tuple[float, ...]] = (0.0,)

    def shape_and_rate(self) -> tuple[Tensor, Tensor]:
        """Return alpha and the rate."""
        raise TypeError(f"{type(self).__name__}: this family gives no shape")

    def to_log(self, x: Tensor) -> Tensor:
        """Return l for z = x."""
        return torch.log(x)

    def log_ratio(self, x: Tensor) -> Tensor:
        """Return w = y - log alpha = log(x rate/alpha), which y has rounded where alpha is large."""
        alpha, rate = self.shape_and_rate()
        return log_quotient(x * rate, alpha)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log |dl/dx|."""
        return -torch.log(x)

    def inside(self, x: Tensor) -> Tensor:
        """Return where x lies in the open support."""
        return (x > 0) & torch.isfinite(x)

    def push(self, eps: Tensor) -> Tensor:
        """Return T(y - log rate), F_y(y; alpha) = Phi(eps)."""
        return special.draw(self.draw, eps, *self.shape_and_rate())

    def log_density(self, x: Tensor) -> Tensor:
        """Return log q(x) = log f_y(y; alpha) + log |dy/dx|; limits at the edge of the support, -inf outside."""
        alpha, rate = self.shape_and_rate()
        inside = self.inside(x)
        safe = torch.where(inside, x, 1.0)
        y = self.to_log(safe) + torch.log(rate)
        value = special.gamma_log_density(y, alpha, self.log_ratio(safe)) + self.log_slope(safe)
        return torch.where(inside, value, self.edge(x))

    def edge(self, x: Tensor) -> Tensor:
        """Return log q outside the open support."""
        return torch.full_like(x, -torch.inf)

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return self._probabilities(x)[0 if self.sign > 0 else 1]

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return S(x)."""
        return self._probabilities(x)[1 if self.sign > 0 else 0]

    def _probabilities(self, x: Tensor) -> tuple[Tensor, Tensor]:
        alpha, rate = self.shape_and_rate()
        inside = self.inside(x)
        safe = torch.where(inside, x, 1.0)
        y = self.to_log(safe) + torch.log(rate)
        above = x > 0 if self.sign > 0 else x <= 0
        return tail_probabilities(inside, above, special.gamma_tails(self.log_ratio(safe), y, alpha))

    def _log_velocity(self, x: Tensor) -> Tensor:
        """Return dy/dalpha at fixed noise."""
        alpha, rate = self.shape_and_rate()
        return special.velocity(special.GAMMA, self.to_log(x) + torch.log(rate), alpha)[0]


class Gamma(GammaLike, torch.distributions.Gamma):
    """Gamma law, density rate^alpha x^(alpha - 1) e^(-rate x) / Gamma(alpha), alpha = concentration.

        z = e^y / rate,  P(alpha, e^y) = Phi(eps),  eps ~ N(0, 1)

    Args:
        concentration: shape alpha, > 0.
        rate: > 0.

    Shape: the parameters broadcast to the batch shape; scalar events.

    Gradient: implicit, unbiased; dz/dalpha = z dy/dalpha exact to rounding, dz/drate = -z / rate. Reverse, forward,
    vmap, compile; second derivatives exact, a third one raises. A draw below the smallest float is 0: for small
    concentrations use ExpGamma.

    Source: figurnov2018.

    Example:
        >>> q = Gamma(torch.tensor(2.0), torch.tensor(1.0))
        >>> q.cdf(torch.tensor(2.0))
        tensor(0.5940)
    """

    def shape_and_rate(self) -> tuple[Tensor, Tensor]:
        """Return concentration and rate."""
        return self.concentration, self.rate

    def edge(self, x: Tensor) -> Tensor:
        """Return the limit at 0: inf, log rate or -inf by the shape."""
        alpha, rate = self.shape_and_rate()
        at_zero = torch.where(alpha < 1, torch.inf, torch.where(alpha == 1, torch.log(rate), -torch.inf))
        return torch.where(x == 0, at_zero, -torch.inf)

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dalpha = x dy/dalpha and dz/drate = -x / rate."""
        return {"concentration": x * self._log_velocity(x), "rate": -x / self.rate}


class Chi2(GammaLike, torch.distributions.Chi2):
    """Chi-squared law with df degrees of freedom: Gamma(df / 2, 1 / 2).

        z = 2 e^y,  P(df / 2, e^y) = Phi(eps),  eps ~ N(0, 1)

    Args:
        df: degrees of freedom, > 0.

    Shape: the shape of df is the batch shape; scalar events.

    Gradient: implicit, unbiased; dz/ddf = z dy/dalpha / 2. Reverse, forward, vmap, compile; second derivatives exact.

    Source: figurnov2018.

    Example:
        >>> Chi2(torch.tensor(2.0)).survival(torch.tensor(2.0))
        tensor(0.3679)
    """

    def shape_and_rate(self) -> tuple[Tensor, Tensor]:
        """Return df / 2 and 1 / 2."""
        return self.df / 2, torch.full_like(self.df, 0.5)

    def edge(self, x: Tensor) -> Tensor:
        """Return the limit at 0: inf, log(1/2) or -inf by the shape."""
        half = torch.full_like(self.df, 0.5).log()
        at_zero = torch.where(self.df < 2, torch.inf, torch.where(self.df == 2, half, -torch.inf))
        return torch.where(x == 0, at_zero, -torch.inf)

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/ddf = x dy/dalpha / 2."""
        return {"df": x * self._log_velocity(x) / 2}


class InverseGamma(GammaLike, torch.distributions.InverseGamma):
    """Inverse gamma law: 1 / z is Gamma(concentration, rate).

        z = rate e^(-y),  P(alpha, e^y) = Phi(-eps),  eps ~ N(0, 1), alpha = concentration

    Args:
        concentration: alpha, > 0.
        rate: > 0.

    Shape: the parameters broadcast to the batch shape; scalar events.

    Gradient: implicit, unbiased; dz/dalpha = -z dy/dalpha, dz/drate = z / rate. Reverse, forward, vmap, compile;
    second derivatives exact. A draw beyond the largest float is inf, one below half the smallest 0, which the support
    holds.

    Source: figurnov2018.

    Example:
        >>> InverseGamma(torch.tensor(1.0), torch.tensor(1.0)).cdf(torch.tensor(1.0))
        tensor(0.3679)
    """

    support = constraints.nonnegative  # type: ignore[assignment]
    draw = "inverse_gamma"
    sign = -1

    def shape_and_rate(self) -> tuple[Tensor, Tensor]:
        """Return concentration and rate."""
        return self.concentration, self.rate

    def to_log(self, x: Tensor) -> Tensor:
        """Return -log x."""
        return -torch.log(x)

    def log_ratio(self, x: Tensor) -> Tensor:
        """Return log(rate/(x alpha))."""
        return log_quotient(self.rate / x, self.concentration)

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dalpha = -x dy/dalpha and dz/drate = x / rate."""
        return {"concentration": -x * self._log_velocity(x), "rate": x / self.rate}


class ExpGamma(GammaLike):
    """Law of log z for z ~ Gamma(concentration, rate): nothing underflows, however small the concentration.

        z = y - log rate,  P(alpha, e^y) = Phi(eps),  eps ~ N(0, 1), alpha = concentration

    Args:
        concentration: alpha, > 0.
        rate: > 0.

    Shape: the parameters broadcast to the batch shape; scalar events.

    Gradient: implicit, unbiased; dz/dalpha = dy/dalpha, dz/drate = -1 / rate. Reverse, forward, vmap, compile;
    second derivatives exact, a third one raises.

    Source: figurnov2018.

    Example:
        >>> ExpGamma(torch.tensor(1e-3), torch.tensor(1.0)).icdf(torch.tensor(0.5))
        tensor(-693.7235)
    """

    draw = "exp_gamma"
    ends = ()
    arg_constraints: ClassVar = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.real

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ExpGamma":
        """Return the distribution with a larger batch shape."""
        new = type(self)(
            self.concentration.expand(batch_shape), self.rate.expand(batch_shape), validate_args=False
        )
        new._validate_args = self._validate_args
        return new

    def shape_and_rate(self) -> tuple[Tensor, Tensor]:
        """Return concentration and rate."""
        return self.concentration, self.rate

    def to_log(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def log_ratio(self, x: Tensor) -> Tensor:
        """Return x + log rate - log alpha, with the logarithms in two parts."""
        (a, low_a), (r, low_r) = log_parts(self.concentration), log_parts(self.rate)
        return (x - (a - r)) - (low_a - low_r)

    def log_slope(self, x: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(x)

    def inside(self, x: Tensor) -> Tensor:
        """Return where x is finite."""
        return torch.isfinite(x)

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dalpha = dy/dalpha and dz/drate = -1 / rate."""
        slope = self._log_velocity(x)
        return {"concentration": slope, "rate": -1 / self.rate + torch.zeros_like(slope)}

    @property
    def mode(self) -> Tensor:
        """The mode, log(alpha/rate)."""
        return log_quotient(self.concentration, self.rate)

    @property
    def mean(self) -> Tensor:
        """The mean, psi(alpha) - log rate."""
        return torch.digamma(self.concentration) - torch.log(self.rate)

    @property
    def variance(self) -> Tensor:
        """The variance, psi'(alpha)."""
        return torch.polygamma(1, self.concentration) + torch.zeros_like(self.rate)

    def entropy(self) -> Tensor:
        """Return log Gamma(alpha) + alpha (1 - psi(alpha)) in nats."""
        alpha = self.concentration
        return torch.lgamma(alpha) + alpha * (1 - torch.digamma(alpha))
