"""The beta families: Beta on [0, 1] and FisherSnedecor on the half-line, both maps of the logit of a beta variable."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from reparam import special
from reparam.distributions.arguments import joined
from reparam.distributions.implicit import Implicit, tail_probabilities
from reparam.distributions.lean import Lean, stored


class Beta(Lean, Implicit, torch.distributions.Beta):
    """Beta law, density x^(a - 1) (1 - x)^(b - 1) / B(a, b), a = concentration1, b = concentration0.

        z = sigmoid(xi),  I_z(a, b) = Phi(eps),  eps ~ N(0, 1)

    Args:
        concentration1: a > 0.
        concentration0: b > 0.

    Shape: the parameters broadcast to the batch shape; scalar events.

    Gradient: implicit, unbiased; dz/da = z (1 - z) dxi/da and the same in b. Reverse, forward, vmap, compile;
    second derivatives exact, a third one raises.

    Source: jankowiak2018.

    Example:
        >>> Beta(torch.tensor(2.0), torch.tensor(3.0)).cdf(torch.tensor(0.5))
        tensor(0.6875)
    """

    ends = (0.0, 1.0)
    late = ("_dirichlet",)

    concentration1 = stored("concentration1")
    concentration0 = stored("concentration0")

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = joined(concentration1, concentration0)
        self.settle(self.concentration1.shape, validate_args)

    def push(self, eps: Tensor) -> Tensor:
        """Return sigmoid(xi), I(a, b) at it = Phi(eps)."""
        return special.draw("beta", eps, self.concentration1, self.concentration0)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log f(xi; a, b) - log x - log(1 - x); limits at 0 and 1, -inf outside."""
        a, b = self.concentration1, self.concentration0
        inside = (x > 0) & (x < 1)
        safe = torch.where(inside, x, 0.5)
        value = special.beta_log_density(torch.logit(safe), a, b) - torch.log(safe) - torch.log1p(-safe)
        end = torch.where(x == 0, a, b)
        at_end = torch.log(torch.where(end == 1, a + b - 1, 1.0))
        limit = torch.where(end < 1, torch.inf, torch.where(end == 1, at_end, -torch.inf))
        return torch.where(inside, value, torch.where((x == 0) | (x == 1), limit, -torch.inf))

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return I_x(a, b)."""
        return self._probabilities(x)[0]

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return 1 - I_x(a, b), without subtraction."""
        return self._probabilities(x)[1]

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/da = x (1 - x) dxi/da and dz/db = x (1 - x) dxi/db."""
        da, db = special.velocity(special.BETA, torch.logit(x), self.concentration1, self.concentration0)
        return {"concentration1": x * (1 - x) * da, "concentration0": x * (1 - x) * db}

    def _probabilities(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inside = (x > 0) & (x < 1)
        xi = torch.logit(torch.where(inside, x, 0.5))
        tails = special.tails(special.BETA, xi, self.concentration1, self.concentration0)
        return tail_probabilities(inside, x >= 1, tails)


class FisherSnedecor(Lean, Implicit, torch.distributions.FisherSnedecor):
    """Fisher-Snedecor F law: the ratio of two independent chi-squared variables, each over its degrees of freedom.

        z = (df2 / df1) e^xi,  I(df1 / 2, df2 / 2) at sigmoid(xi) = Phi(eps),  eps ~ N(0, 1)

    Args:
        df1: degrees of freedom above, > 0.
        df2: degrees of freedom below, > 0.

    Shape: df1 and df2 broadcast to the batch shape; scalar events.

    Gradient: implicit, unbiased; dz/ddf1 = z (dxi/da / 2 - 1 / df1), dz/ddf2 = z (dxi/db / 2 + 1 / df2). Reverse,
    forward, vmap, compile; second derivatives exact. A draw beyond the largest float is inf, one below half
    the smallest 0, which the support holds; `log_push` is log z without either.

    Source: figurnov2018.

    Example:
        >>> FisherSnedecor(torch.tensor(3.0), torch.tensor(3.0)).cdf(torch.tensor(1.0))
        tensor(0.5000)
    """

    late = "_gamma1", "_gamma2"
    support = constraints.nonnegative  # type: ignore[assignment]
    ends = (0.0,)

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = joined(df1, df2)
        self.settle(self.df1.shape, validate_args)

    def push(self, eps: Tensor) -> Tensor:
        """Return (df2 / df1) e^xi."""
        return special.draw("ratio", eps, self.df1, self.df2)

    def log_push(self, eps: Tensor) -> Tensor:
        """Return log z = log(df2 / df1) + xi at eps in float64, which neither overflows nor underflows."""
        a, b = self.df1.double() / 2, self.df2.double() / 2
        return special.quantile(special.BETA, eps.double(), a, b) + torch.log(b / a)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log f(xi; df1 / 2, df2 / 2) - log x; limits at 0, -inf below."""
        inside = (x > 0) & torch.isfinite(x)
        safe = torch.where(inside, x, 1.0)
        value = special.beta_log_density(self._xi(safe), self.df1 / 2, self.df2 / 2) - torch.log(safe)
        limit = torch.where(self.df1 < 2, torch.inf, torch.where(self.df1 == 2, 0.0, -torch.inf))
        return torch.where(inside, value, torch.where(x == 0, limit, -torch.inf))

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return self._probabilities(x)[0]

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return S(x)."""
        return self._probabilities(x)[1]

    def velocity(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/ddf1 = x (dxi/da / 2 - 1 / df1) and dz/ddf2 = x (dxi/db / 2 + 1 / df2)."""
        da, db = special.velocity(special.BETA, self._xi(x), self.df1 / 2, self.df2 / 2)
        return {"df1": x * (da / 2 - 1 / self.df1), "df2": x * (db / 2 + 1 / self.df2)}

    def entropy(self) -> Tensor:
        """Return log B(a, b) + (1 - a) psi(a) - (1 + b) psi(b) + (a + b) psi(a + b) + log(b/a) in nats.

        a = df1/2, b = df2/2.
        """
        a, b = self.df1.double() / 2, self.df2.double() / 2
        log_beta = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
        psi = (1 - a) * torch.digamma(a) - (1 + b) * torch.digamma(b) + (a + b) * torch.digamma(a + b)
        return (log_beta + psi + torch.log(b / a)).to(self.df1.dtype)

    def _xi(self, x: Tensor) -> Tensor:
        return torch.log(x) + torch.log(self.df1) - torch.log(self.df2)

    def _probabilities(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inside = (x > 0) & torch.isfinite(x)
        xi = self._xi(torch.where(inside, x, 1.0))
        return tail_probabilities(inside, x > 0, special.tails(special.BETA, xi, self.df1 / 2, self.df2 / 2))
